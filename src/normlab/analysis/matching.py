"""Two networks compared where they stand equally well: at equal training accuracy or loss of the probed batch itself.

Equal steps compare a network that has learned much with one that has learned little. The axis is read on the batch
that the probe used, at the same weights: a trailing mean lags behind, and behind the faster network more. Values are
averaged in the bins of the axis that both networks pass through, and every such bin counts the same.
"""

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError, PerSeed, exact, exact_ratio

EDGES = {
    "train_accuracy": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
    "loss": tuple(2.0**power for power in range(-12, 3)),
}
_SOURCES = {"train_accuracy": ("history", "train_accuracy", {}), "loss": ("landscape", "loss", {"step_size": None})}


def matched_means(top: Cell, bottom: Cell, rows: tuple[pd.DataFrame, pd.DataFrame], axis: str) -> pd.DataFrame:
    """By (seed, bin): the means of both sides' values, in the bins that both have.

    Args:
        top: a cell.
        bottom: the one that it is compared with.
        rows: of each, the values at probed steps: columns seed, step, value.
        axis: a key of `EDGES`.

    Raises:
        NotRunError: no seed passes through a bin with both networks.
    """
    sides = []
    for cell, values in zip((top, bottom), rows, strict=True):
        probe, quantity, conditions = _SOURCES[axis]
        at = cell.rows(probe, quantity, **conditions).set_index(["seed", "step"])["value"]
        joined = values.join(at.rename("at"), on=["seed", "step"], how="inner")
        joined = joined[joined["step"] > 0]
        bins = pd.cut(joined["at"], EDGES[axis], right=False)
        sides.append(joined.groupby([joined["seed"], bins.rename("bin")], observed=True)["value"].mean())
    both = pd.concat(sides, axis=1, keys=["top", "bottom"], join="inner")
    if not len(both):
        raise NotRunError(f"{top.name} and {bottom.name} have no {axis.replace('_', ' ')} in common")
    return both


def matched_ratio(top: Cell, bottom: Cell, rows: tuple[pd.DataFrame, pd.DataFrame], axis: str) -> PerSeed:
    """top/bottom of a positive number, geometric mean over the bins that both pass through."""
    both = matched_means(top, bottom, rows, axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(both["top"] / both["bottom"]).groupby(level="seed").mean()
    return exact_ratio(_of_whole_runs(np.exp(logs), top, bottom))


def matched_difference(top: Cell, bottom: Cell, rows: tuple[pd.DataFrame, pd.DataFrame], axis: str) -> PerSeed:
    """top − bottom, mean over the bins that both pass through."""
    both = matched_means(top, bottom, rows, axis)
    gaps = (both["top"] - both["bottom"]).groupby(level="seed").mean()
    return exact(_of_whole_runs(gaps, top, bottom))


def _of_whole_runs(values: pd.Series, top: Cell, bottom: Cell) -> pd.Series:
    """Unknown for seeds of which either run diverged: what it passed through before says little about its landscape."""
    gone = top.diverged.reindex(values.index) | bottom.diverged.reindex(values.index)
    return values.where(~gone.astype(bool))
