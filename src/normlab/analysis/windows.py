"""Comparisons over a window of training steps, of two cells of which one may have been trained for less long.

A window is (first, last), both included: the paper's steps, so that its curves and our runs are read off between the
same steps. A seed that diverged in the window or before it counts as rougher than any number, never as smooth: what it
showed before it exploded is not what its landscape is like.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError, PerSeed, exact, ratio
from normlab.analysis.quantities import (
    Phase,
    common_layers,
    in_phase,
    median_over_steps,
    phase_median,
    settled,
    step_weights,
)

Window = Sequence[int]
LEAST_COVERED = 0.8  # of a window's steps; runs that cover less of it do not decide a claim about it


def as_phase(cell: Cell, window: Window) -> tuple[float, float]:
    """The window as a fraction (a, b] of the cell's planned updates, half a step wider so that rounding moves none."""
    planned = float(cell.horizons.max())
    return (window[0] - 0.5) / planned, (window[1] + 0.5) / planned


def shortened(cells: Sequence[Cell], window: Window) -> Window:
    """The part of the window that all cells were trained for."""
    planned = min(int(cell.horizons.max()) for cell in cells)
    return window[0], min(window[1], planned)


def uncovered(cells: Sequence[Cell], window: Window) -> str:
    """What the runs lack for a claim about the window: `1,500 of 6,000 steps`, or "" if they cover enough of it."""
    reached = shortened(cells, window)[1]
    return "" if reached >= LEAST_COVERED * window[1] else f"{reached:,} of {window[1]:,} steps"


def gone_by(cell: Cell, last: int) -> pd.Series:
    """Whether each seed's run had diverged by a step."""
    if not cell.has("summary", "diverged_at"):
        return cell.diverged
    ended = cell.rows("summary", "diverged_at").set_index("seed")["value"].reindex(cell.seeds)
    return ended <= last


def in_window(cell: Cell, window: Window, measure: Callable[[Cell, Phase], PerSeed], worst: float = np.inf) -> PerSeed:
    """A number of the cell over the window; `worst` for seeds that had diverged by its end.

    Args:
        cell: the cell.
        window: (first, last) step.
        measure: takes the cell and a phase (a, b], fractions of the planned updates.
        worst: the number that is worse than any other.

    Raises:
        NotRunError: nothing was measured in the window, and not because the runs diverged.
    """
    gone = gone_by(cell, window[1])
    try:
        values = measure(cell, as_phase(cell, window)).values
    except NotRunError:
        if not gone.all():
            raise
        values = exact(dict.fromkeys(cell.seeds, np.nan)).values
    values = values.copy()
    values.loc[gone[gone].index] = worst
    return PerSeed(values)


def median_in(
    cell: Cell, probe: str, quantity: str, window: Window, worst: float = np.inf, **conditions: object
) -> PerSeed:
    """Median over the probed steps of the window, each weighted by the steps it stands for, a seed at a time."""
    return in_window(cell, window, lambda c, phase: phase_median(c, probe, quantity, phase, **conditions), worst)


def fold(top: Cell, bottom: Cell, window: Window, measure: Callable[[Cell, Window], PerSeed]) -> PerSeed:
    """top/bottom of a number over the part of the window that both were trained for."""
    both = shortened((top, bottom), window)
    found = ratio(measure(top, both), measure(bottom, both))
    return found.lacking(uncovered((top, bottom), window))


def layer_folds(
    top: Cell, bottom: Cell, probe: str, quantity: str, window: Window, layers: Sequence[str] | None = None
) -> pd.DataFrame:
    """Seed by seed and layer by layer, the ratio of the two cells' means over the window.

    Raises:
        NotRunError: the cells have no layer, no seed or no probed step of the window in common.
    """
    a, b = _layer_means(top, bottom, probe, quantity, window, layers, worst=np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        return a / b


def layer_gaps(
    top: Cell, bottom: Cell, probe: str, quantity: str, window: Window, layers: Sequence[str] | None = None
) -> pd.DataFrame:
    """Seed by seed and layer by layer, the difference of the two cells' mean cosines over the window."""
    a, b = _layer_means(top, bottom, probe, quantity, window, layers, worst=-1.0)
    return a - b


def _layer_means(
    top: Cell, bottom: Cell, probe: str, quantity: str, window: Window, layers: Sequence[str] | None, worst: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means of both cells over the part of the window that both were trained for: a row a seed, a column a layer.

    A seed that had diverged by its end has `worst` in every layer, whatever it showed before.
    """
    chosen = common_layers([top, bottom], probe, quantity) if layers is None else list(layers)
    if not chosen:
        raise NotRunError(f"{top.name} and {bottom.name} have no layer of {probe} in common")
    first, last = shortened((top, bottom), window)
    means = []
    for cell in (top, bottom):
        gone = gone_by(cell, last)
        asked = (probe, quantity, tuple(chosen), first, last)
        found = cell.once(("weighted means", *asked), partial(_weighted_means, cell, *asked))
        found = found.reindex(found.index.union(gone[gone].index))
        found.loc[gone[gone].index] = worst
        means.append(found)
    seeds = means[0].index.intersection(means[1].index)
    if not len(seeds):
        raise NotRunError(f"{top.name} and {bottom.name} have no seed with a probed step in {first} … {last}")
    return means[0].loc[seeds], means[1].loc[seeds]


def _weighted_means(
    cell: Cell, probe: str, quantity: str, layers: tuple[str, ...], first: int, last: int
) -> pd.DataFrame:
    """Means over the probed steps, each weighted by the steps it stands for: a row a seed, a column a layer."""
    rows = settled(cell, probe, quantity)
    rows = rows[(rows["step"] >= first) & (rows["step"] <= last)].astype({"layer": str})
    table = rows.set_index(["seed", "step", "layer"])["value"].unstack("layer").reindex(columns=list(layers))
    weights = pd.Series(1.0, table.index)
    for seed in table.index.unique("seed"):
        weights.loc[seed] = step_weights(table.loc[seed].index.to_numpy())
    known = table.notna().mul(weights, axis=0).groupby(level="seed").sum()
    return table.mul(weights, axis=0).groupby(level="seed").sum(min_count=1) / known


def band_over(cell: Cell, window: Window, step_sizes: Sequence[float]) -> PerSeed:
    """Median over the window of max_k f(w_k) − min_k f(w_k) over step sizes in learning rates, no base point."""

    def measure(inner: Cell, phase: Phase) -> PerSeed:
        keys = ["seed", "step"]
        sizes = [size * inner.learning_rate for size in step_sizes]
        losses = settled(inner, "landscape", "loss", step_size=sizes).groupby(keys)["value"]
        width = (losses.max() - losses.min()).fillna(np.inf)  # all of them overflowed: inf − inf
        return median_over_steps(inner, in_phase(width.reset_index(), inner, phase))

    return in_window(cell, window, measure)
