"""One file a family of networks: `NAME.py` has the function `NAME(...)`; with `DEPTHS`, one name for each depth."""
