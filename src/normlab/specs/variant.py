"""Variants: how the settings of a run differ from the shared ones, as text such as `batch_size=64,weight_decay=0.0004`.

The text is "" for a run that has the shared settings. It is canonical: sorted by key, numbers as Python writes them.
"""

from collections.abc import Mapping


def write(overrides: Mapping[str, object]) -> str:
    """The text of settings that differ, such as {"weight_decay": 4e-4, "augment": True}.

    Values are numbers, truth values and words, so that the text is safe in a command and in a folder's name.
    """
    return ",".join(f"{key}={_plain(overrides[key])}" for key in sorted(overrides))


def read(variant: str) -> dict[str, str]:
    """The settings that differ and their values as text, in the order of the text."""
    pairs = (entry.partition("=") for entry in variant.split(",") if entry)
    return {key: value for key, _, value in pairs}


def length_aside(variant: str) -> tuple[str, bool]:
    """The text without the training length, and whether it had one: `steps=6000,width=0.5` is (`width=0.5`, True)."""
    settings = read(variant)
    return write({key: value for key, value in settings.items() if key != "steps"}), "steps" in settings


def suffix(variant: str) -> str:
    """The ending that a variant gives to the names of its runs and cells: `-batch_size=64-weight_decay=0.0004`."""
    return f"-{variant.replace(',', '-')}" if variant else ""


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
