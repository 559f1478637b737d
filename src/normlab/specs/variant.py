"""Variants: how the settings of a run differ from the shared ones, as text such as `batch_size=64,weight_decay=0.0004`.

The text is "" for a run that has the shared settings.
"""


def suffix(variant: str) -> str:
    """The ending that a variant gives to the names of its runs and cells: `-batch_size=64-weight_decay=0.0004`."""
    return f"-{variant.replace(',', '-')}" if variant else ""
