"""Rows of the tidy schema: one row a run × step × quantity, the form in which every study writes its measurements."""

import math
from collections.abc import Mapping

import pandas as pd

KEYS = ("study", "network", "norm_layer", "learning_rate", "seed")
COLUMNS = (*KEYS, "probe", "layer", "step_size", "step", "quantity", "value")


class Rows:
    """Collects the measurements of one run.

    Args:
        keys: the values of `KEYS` for the run: study, network, norm_layer, learning_rate, seed.
    """

    def __init__(self, keys: Mapping[str, object]) -> None:
        if tuple(keys) != KEYS:
            raise ValueError(f"keys: expected {KEYS}, got {tuple(keys)}")
        self.keys = dict(keys)
        self._rows: list[tuple[str, str, float, int, str, float]] = []

    def add(
        self, probe: str, step: int, values: Mapping[str, float], *, layer: str = "", step_size: float = math.nan
    ) -> None:
        """One row for each entry of `values` (quantity → value; NaN and ±inf are kept)."""
        self._rows += [(probe, layer, step_size, step, quantity, float(v)) for quantity, v in values.items()]

    def frame(self) -> pd.DataFrame:
        """All rows in the order of adding, with the columns `COLUMNS`."""
        frame = pd.DataFrame(self._rows, columns=list(COLUMNS[len(KEYS) :]))
        for position, (key, value) in enumerate(self.keys.items()):
            frame.insert(position, key, value)
        return frame.astype({"learning_rate": "float64", "seed": "int64", "step_size": "float64", "step": "int64"})
