"""One file a normalizer: `NAME.py` has the function `NAME(channels, ...)`, and its name is the normalizer's."""
