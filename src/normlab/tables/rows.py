"""Rows of the tidy schema: one row a run × step × quantity, the form in which every study writes its measurements."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

KEYS = ("study", "network", "norm_layer", "learning_rate", "variant", "seed")
"""What names a run. `variant` is how its settings differ from the shared ones, such as "weight_decay=0.0004"; "" where
they do not."""

COLUMNS = (*KEYS, "probe", "layer", "step_size", "step", "batch", "quantity", "value")
"""`batch` is what the row was measured on: 0 is the batch that training saw at that step, n > 0 the n-th other one."""

BINS = ("edges", "counts")  # what a histogram has beside its name


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

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as plain values."""
        return {"rows": self._rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the rows of `state`."""
        self._rows = state["rows"]


class Histograms:
    """Collects histograms of single units, a row a bin."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    def add(
        self, keys: Mapping[str, object], layer: str, unit: int, step: int, edges: np.ndarray, counts: np.ndarray
    ) -> None:
        """One histogram.

        Args:
            keys: of the run, as in `Rows`.
            layer: the layer's name.
            unit: the number of the unit in the layer.
            step: the step.
            edges: (B+1,) increasing, float64.
            counts: (B,), float64.
        """
        named = {**keys, "layer": layer, "unit": unit, "step": step}
        self._entries.append({"keys": named, "edges": edges.copy(), "counts": counts.copy()})

    def frame(self) -> pd.DataFrame:
        """All of them in the order of adding: the keys, layer, unit, step, left and right edge of the bin, count."""
        if not self._entries:  # a network without normalized layers
            return pd.DataFrame(columns=[*KEYS, "layer", "unit", "step", "left", "right", "count"])
        return pd.concat([self._bins(**entry) for entry in self._entries], ignore_index=True)

    def state_dict(self) -> dict[str, Any]:
        """The histograms so far, as plain values."""
        return {"entries": [{**one, **{name: one[name].tolist() for name in BINS}} for one in self._entries]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the histograms of `state`."""
        self._entries = [{**one, **{name: np.array(one[name]) for name in BINS}} for one in state["entries"]]

    @staticmethod
    def _bins(keys: Mapping[str, object], edges: np.ndarray, counts: np.ndarray) -> pd.DataFrame:
        bins = pd.DataFrame({"left": edges[:-1], "right": edges[1:], "count": counts})
        for position, (key, value) in enumerate(keys.items()):
            bins.insert(position, key, value)
        return bins
