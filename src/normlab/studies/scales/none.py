"""No normalizer: nothing is scaled."""

none = None
