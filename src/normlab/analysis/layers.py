"""Quantities that every layer has, reduced to one number a seed."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError, PerSeed, exact, exact_ratio
from normlab.analysis.quantities import common_layers, settled, step_weights


def layer_means(cell: Cell, probe: str, quantity: str, layers: Sequence[str] | None = None) -> pd.DataFrame:
    """Mean over the probed steps after step 0, by the steps each stands for: a row a seed, a column a layer."""
    tables = curves(cell, probe, quantity, layers)
    return pd.DataFrame.from_dict({seed: mean_over_steps(table) for seed, table in tables.items()}, orient="index")


def curves(cell: Cell, probe: str, quantity: str, layers: Sequence[str] | None = None) -> dict[int, pd.DataFrame]:
    """By seed, a table of one row a probed step (step 0 left out) and one column a layer.

    A layer that has no value in one of the seeds (no gradient reaches it) is a column of NaN there.
    """
    rows = settled(cell, probe, quantity)
    rows = rows[rows["step"] > 0].astype({"layer": str})
    tables = {seed: group.pivot(index="step", columns="layer", values="value") for seed, group in rows.groupby("seed")}
    return {seed: table if layers is None else table.reindex(columns=list(layers)) for seed, table in tables.items()}


def mean_over_steps(curve: pd.DataFrame) -> pd.Series:
    """Mean of each column over the index of steps, weighted by `step_weights`; NaN without rows."""
    weights = step_weights(curve.index.to_numpy())
    return curve.mul(weights, axis=0).sum(min_count=1) / curve.notna().mul(weights, axis=0).sum()


def typical_layer(cell: Cell, probe: str, quantity: str, *, later: bool = False) -> PerSeed:
    """Median over the layers of their means over the run; `later` leaves out the first one, which has none before it.

    Raises:
        NotRunError: no layer was measured.
    """
    layers = common_layers([cell], probe, quantity)[int(later) :]
    if not layers:
        raise NotRunError(f"no layer of {cell.name} that has one before it")
    return exact(layer_means(cell, probe, quantity, layers).median(axis=1, skipna=False))


def layer_fold(top: Cell, bottom: Cell, probe: str, quantity: str, *, later: bool = False) -> PerSeed:
    """Geometric mean over the common layers of the ratio of the two cells' means over the run; `later` as above."""
    ratios = layer_ratios(top, bottom, probe, quantity)
    first = common_layers([top, bottom], probe, quantity)[0]
    return geometric_mean(ratios.drop(columns=first) if later else ratios)


def layer_ratios(top: Cell, bottom: Cell, probe: str, quantity: str) -> pd.DataFrame:
    """Seed by seed and layer by layer, the ratio of the two cells' means over the run.

    Raises:
        NotRunError: the cells have no layer or no seed in common.
    """
    layers = common_layers([top, bottom], probe, quantity)
    a, b = layer_means(top, probe, quantity, layers), layer_means(bottom, probe, quantity, layers)
    seeds = a.index.intersection(b.index)
    if not layers or not len(seeds):
        raise NotRunError(f"{top.name} and {bottom.name} have no layer or seed in common")
    with np.errstate(divide="ignore", invalid="ignore"):
        return a.loc[seeds] / b.loc[seeds]


def geometric_mean(ratios: pd.DataFrame) -> PerSeed:
    """exp of the mean over layers of the log ratio."""
    with np.errstate(divide="ignore"):
        return exact_ratio(np.exp(np.log(ratios).mean(axis=1, skipna=False)))


def smallest(ratios: pd.DataFrame) -> PerSeed:
    """The smallest ratio of any layer."""
    return exact_ratio(ratios.min(axis=1, skipna=False))


def depth_slope(cell: Cell) -> PerSeed:
    """Change of log ‖∇_{W_l}‖ per layer toward the input at step 0 (least squares): positive if gradients explode."""
    rows = settled(cell, "gradients", "layer_grad_norm")
    slopes = {}
    for seed, group in rows[rows["step"] == 0].groupby("seed"):
        norms = pd.Series(group["value"].to_numpy())
        usable = norms[np.isfinite(norms) & (norms > 0)]
        slopes[seed] = -np.polyfit(usable.index, np.log(usable), 1)[0] if len(usable) > 1 else math.nan
    if not slopes:
        raise NotRunError(f"no gradient norms at step 0 in {cell.name}")
    return exact(slopes)
