"""Tidy rows of one cell of the deep linear study, whose quantities come as one tensor entry a seed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from normlab.specs.dln import DlnCell
from normlab.tables.rows import Rows


class CellRows:
    """Measurements of all seeds of one cell.

    Args:
        cell: the cell.
        seeds: the S seeds, in the order of the tensors' first axis.
        study: the name of the study.
    """

    def __init__(self, cell: DlnCell, seeds: Sequence[int], study: str = "dln") -> None:
        self.runs = [Rows({**cell.keys, "study": study, "seed": seed}) for seed in seeds]

    def add(
        self, probe: str, step: int, values: Mapping[str, Tensor], *, layer: str = "", step_sizes: Tensor | None = None
    ) -> None:
        """Rows of one probe at one step.

        Args:
            probe: the probe's name.
            step: the step.
            values: quantity → (S,), or (S, K) with `step_sizes`.
            layer: the layer's name, if the quantities belong to one.
            step_sizes: (K,) the step sizes (or distances) of the columns.
        """
        columns = {quantity: value.tolist() for quantity, value in values.items()}
        sizes = [math.nan] if step_sizes is None else step_sizes.tolist()
        for index, run in enumerate(self.runs):
            for k, size in enumerate(sizes):
                row = {q: c[index] if step_sizes is None else c[index][k] for q, c in columns.items()}
                run.add(probe, step, row, layer=layer, step_size=size)

    def frame(self) -> pd.DataFrame:
        """All rows, seed by seed."""
        return pd.concat([run.frame() for run in self.runs], ignore_index=True)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as plain values."""
        return {"runs": [run.state_dict() for run in self.runs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the rows of `state`."""
        for run, rows in zip(self.runs, state["runs"], strict=True):
            run.load_state_dict(rows)
