"""Cells at several learning rates: which rate suits a normalizer best, which it can use, and is the smooth one fast."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed
from normlab.analysis.quantities import mean_train_accuracy, steps_to_accuracy


def best_rate(cells: Cells, norm_layer: str, accuracy: float) -> Cell:
    """The cell of a normalizer with the fewest median steps to `accuracy`, then the highest mean training accuracy.

    The test split takes no part in the choice.

    Raises:
        NotRunError: the normalizer was run at fewer than two rates.
    """
    candidates = cells.rates(norm_layer)
    if len(candidates) < 2:
        raise NotRunError(f"no choice of learning rates for norm_layer {norm_layer}: {len(candidates)} in the grid")

    def order(cell: Cell) -> tuple[float, float]:
        steps = steps_to_accuracy(cell, accuracy, cells.spec.window).values["value"].median()
        return steps, -mean_train_accuracy(cell).values["value"].median()

    return min(candidates, key=order)


def largest_usable_rate(swept: Sequence[Cell], accuracy: float, window: int) -> PerSeed:
    """The largest learning rate whose run reaches `accuracy`, by seed.

    Bounds: it is at least the largest rate of the grid that did, and below the next one (unbounded at the grid's
    end); below the smallest rate if none did, and then unknown.
    """
    steps = pd.DataFrame(
        {cell.learning_rate: steps_to_accuracy(cell, accuracy, window).values["value"] for cell in swept}
    ).dropna()
    rates = list(steps.columns)
    rows = {}
    for seed, row in steps.iterrows():
        usable = [i for i, rate in enumerate(rates) if math.isfinite(row[rate])]
        if usable:
            last = usable[-1]
            above = rates[last + 1] if last + 1 < len(rates) else math.inf
            rows[seed] = {"value": rates[last], "low": rates[last], "high": above}
        else:
            rows[seed] = {"value": math.nan, "low": 0.0, "high": rates[0]}
    return PerSeed(pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"]))


def smoothness_and_speed(
    cells: Sequence[Cell], smoothness: Callable[[Cell], PerSeed], accuracy: float, window: int
) -> pd.DataFrame:
    """One row a cell: the medians over its seeds of a smoothness and of the steps to `accuracy`.

    Columns norm_layer, learning_rate, smoothness, steps (inf where most seeds never reach it) and seeds. A cell whose
    seeds all diverged before the phase of the smoothness has no row.
    """
    rows = []
    for cell in cells:
        try:
            smooth = smoothness(cell).values["value"].median()
        except NotRunError:
            continue
        if not math.isnan(smooth):
            steps = steps_to_accuracy(cell, accuracy, window).values["value"].to_numpy()
            rows.append((cell.norm_layer, cell.learning_rate, float(smooth), float(np.median(steps)), len(cell.seeds)))
    return pd.DataFrame(rows, columns=["norm_layer", "learning_rate", "smoothness", "steps", "seeds"])
