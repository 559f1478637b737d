"""Cells at several learning rates: which rate suits a normalizer best, which it can use, and is the smooth one fast."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed
from normlab.analysis.quantities import final_train_accuracy, mean_train_accuracy, steps_to_accuracy


def best_rate(cells: Cells, norm_layer: str, score: Callable[[Cell], PerSeed]) -> Cell:
    """The cell of a normalizer whose median score over seeds is highest.

    The score has to come from data that takes no part in what is then compared: neither the test split nor the training
    accuracy, which prefers what overfits.

    Raises:
        NotRunError: the normalizer was run at fewer than two rates, or the score was not measured at all of them.
    """
    candidates = cells.rates(norm_layer)
    if len(candidates) < 2:
        raise NotRunError(f"no choice of learning rates for norm_layer {norm_layer}: {len(candidates)} in the grid")
    return max(candidates, key=lambda cell: float(score(cell).values["value"].median()))


def fastest_rate(cells: Cells, norm_layer: str, accuracy: float) -> Cell:
    """The cell of a normalizer with the fewest median steps to `accuracy`, then the highest mean training accuracy.

    What trains fastest need not test best: no comparison of test accuracies is made at it.

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


def widest_sweep(cells: Cells, norm_layers: Sequence[str]) -> dict[str, list[Cell]]:
    """By normalizer the cells by rising rate, of the variant (of training length, say) with the most rates in common.

    Raises:
        NotRunError: no variant has two rates of every normalizer.
    """
    sweeps = [{norm_layer: inner.rates(norm_layer) for norm_layer in norm_layers} for inner in cells.variants]
    widest = max(sweeps, key=lambda swept: min(len(found) for found in swept.values()))
    for norm_layer, found in widest.items():
        if len(found) < 2:
            raise NotRunError(f"no sweep of learning rates for norm_layer {norm_layer}: {len(found)} in the grid")
    return widest


def largest_usable_rate(swept: Sequence[Cell], accuracy: float, window: int) -> PerSeed:
    """The largest learning rate whose run reaches a training accuracy, by seed."""
    return largest_rate(swept, lambda cell: np.isfinite(steps_to_accuracy(cell, accuracy, window).values["value"]))


def largest_alive_rate(swept: Sequence[Cell], alive: float, window: int) -> PerSeed:
    """The largest learning rate whose run ends with at least the training accuracy `alive` (chance is 0.1), by seed."""
    return largest_rate(swept, lambda cell: final_train_accuracy(cell, window).values["value"] >= alive)


def largest_rate(swept: Sequence[Cell], usable: Callable[[Cell], pd.Series]) -> PerSeed:
    """The largest learning rate that is usable, by the seeds that have all rates.

    Bounds: it is at least the largest rate of the grid that is, and below the next one (unbounded at the grid's end);
    below the smallest rate if none is, and then unknown.

    Args:
        swept: cells by rising rate.
        usable: whether each seed of a cell is usable.
    """
    table = pd.DataFrame({cell.learning_rate: usable(cell) for cell in swept}).dropna().astype(bool)
    rates = list(table.columns)
    rows = {}
    for seed, row in table.iterrows():
        good = [i for i, rate in enumerate(rates) if row[rate]]
        if good:
            last = good[-1]
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
    columns = {"norm_layer": object, "learning_rate": float, "smoothness": float, "steps": float, "seeds": int}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)  # also without a row
