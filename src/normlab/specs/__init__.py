"""Typed, strict settings: one frozen dataclass for every section of `params.yaml`."""
