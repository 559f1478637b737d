"""Rows of the tidy schema: one row a run × step × quantity, the form in which every study writes its measurements."""

import math
from collections.abc import Mapping

import pandas as pd

KEYS = ("study", "network", "norm_layer", "learning_rate", "variant", "seed")
"""What names a run. `variant` is how its settings differ from the shared ones, such as "weight_decay=0.0004"; "" where
they do not."""

COLUMNS = (*KEYS, "probe", "layer", "step_size", "step", "batch", "quantity", "value")
"""`batch` is what the row was measured on: 0 is the batch that training saw at that step, n > 0 the n-th other one."""


class Rows:
    """Collects the measurements of one run.

    Args:
        keys: the values of `KEYS` for the run; without `variant` it is "".

    Raises:
        ValueError: another key, or one of them missing.
    """

    def __init__(self, keys: Mapping[str, object]) -> None:
        known = {"variant": "", **keys}
        if set(known) != set(KEYS):
            raise ValueError(f"keys: expected {KEYS}, got {tuple(keys)}")
        self.keys = {key: known[key] for key in KEYS}
        self._rows: list[tuple[str, str, float, int, int, str, float]] = []

    def add(
        self,
        probe: str,
        step: int,
        values: Mapping[str, float],
        *,
        layer: str = "",
        step_size: float = math.nan,
        batch: int = 0,
    ) -> None:
        """One row for each entry of `values` (quantity → value; NaN and ±inf are kept)."""
        self._rows += [(probe, layer, step_size, step, batch, quantity, float(v)) for quantity, v in values.items()]

    def frame(self) -> pd.DataFrame:
        """All rows in the order of adding, with the columns `COLUMNS`."""
        frame = pd.DataFrame(self._rows, columns=list(COLUMNS[len(KEYS) :]))
        for position, (key, value) in enumerate(self.keys.items()):
            frame.insert(position, key, value)
        whole = dict.fromkeys(("seed", "step", "batch"), "int64")
        return frame.astype({"learning_rate": "float64", "step_size": "float64", **whole})
