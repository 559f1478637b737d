"""What the walks of a cell amount to: the loss and β at step sizes of at most the learning rate, and where β stands.

Step sizes are in units of the learning rate where they are given as settings, and absolute in the table. NaN of a walk
is settled as in `normlab.analysis.quantities.settled`: what left the floating range is more than any number.
"""

from collections.abc import Sequence

import pandas as pd

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError, PerSeed, ratio
from normlab.analysis.quantities import Phase, in_phase, median_over_steps, settled
from normlab.tables.frames import at_most


def up_to_rate(cell: Cell, probe: str, quantity: str) -> pd.DataFrame:
    """The rows of a walk at step sizes of at most the learning rate; the base point's `loss` among them."""
    rows = settled(cell, probe, quantity)
    return rows[rows["step_size"].isna() | at_most(rows["step_size"], cell.learning_rate)]


def range_up_to_rate(cell: Cell, phase: Phase) -> PerSeed:
    """Median over a phase of max − min of the loss at the base point and at step sizes ≤ the learning rate."""
    rows = in_phase(up_to_rate(cell, "landscape", "loss"), cell, phase)
    if not rows["step_size"].notna().any():
        raise NotRunError(f"no walk of at most the learning rate in {cell.name}")
    at_step = rows.groupby(["seed", "step"])["value"]
    return median_over_steps(cell, (at_step.max() - at_step.min()).reset_index())


def largest_up_to_rate(cell: Cell, quantity: str, phase: Phase, probe: str = "landscape") -> PerSeed:
    """Median over a phase of the largest value (of β, of the gradient's change) over step sizes ≤ the learning rate."""
    rows = in_phase(up_to_rate(cell, probe, quantity), cell, phase)
    if not len(rows):
        raise NotRunError(f"no walk of at most the learning rate in {cell.name}")
    return median_over_steps(cell, _largest(rows))


def beta_up_to_rate(cell: Cell, phase: Phase, probe: str = "landscape") -> PerSeed:
    """Median over a phase of max β over step sizes ≤ the learning rate."""
    return largest_up_to_rate(cell, "beta", phase, probe)


def by_step_size(cell: Cell, quantity: str, phase: Phase, probe: str = "landscape") -> dict[float, PerSeed]:
    """By step size (absolute; the distance in a walk of equal distances), the median over a phase of a quantity there.

    `loss_change` is |loss − loss at the base point|.
    """
    recorded = "loss" if quantity == "loss_change" else quantity
    rows = in_phase(settled(cell, probe, recorded), cell, phase)
    if quantity == "loss_change":
        base = rows[rows["step_size"].isna()].set_index(["seed", "step"])["value"]
        start = base.reindex(pd.MultiIndex.from_frame(rows[["seed", "step"]])).to_numpy()
        rows = rows.assign(value=(rows["value"] - start).abs())
    sizes = rows[rows["step_size"].notna()].groupby("step_size")
    if not len(sizes):
        raise NotRunError(f"no {probe} measurement of {recorded} at a step size in {cell.name}")
    return {float(size): median_over_steps(cell, found) for size, found in sizes}


def beta_over(cell: Cell, step_sizes: Sequence[float]) -> pd.DataFrame:
    """max β over the given step sizes (in learning rates) at every probed step: columns seed, step, value.

    Raises:
        NotRunError: one of the step sizes was not walked.
    """
    absolute = [size * cell.learning_rate for size in step_sizes]
    rows = settled(cell, "landscape", "beta", step_size=absolute)
    if rows["step_size"].nunique() != len(absolute):
        wanted = ", ".join(f"{size:g}" for size in step_sizes)
        raise NotRunError(f"not all of the step sizes {wanted} × rate in {cell.name}")
    return _largest(rows)


def plateau(cell: Cell, phase: Phase, step_sizes: Sequence[float]) -> PerSeed:
    """Median over a phase of max β over the given step sizes (in learning rates)."""
    return median_over_steps(cell, in_phase(beta_over(cell, step_sizes), cell, phase))


def halved_step(cell: Cell, phase: Phase, step_sizes: Sequence[float]) -> PerSeed:
    """How the plateau changes when half the smallest step size joins the grid: 1 for a smoothness, 2 for 1/η_min."""
    return ratio(plateau(cell, phase, with_half(step_sizes)), plateau(cell, phase, step_sizes))


def halved_by_step(cell: Cell, step_sizes: Sequence[float]) -> pd.DataFrame:
    """The same change at every probed step: columns seed, step, value."""
    keys = ["seed", "step"]
    with_it = beta_over(cell, with_half(step_sizes)).set_index(keys)["value"]
    return (with_it / beta_over(cell, step_sizes).set_index(keys)["value"]).reset_index()


def with_half(step_sizes: Sequence[float]) -> tuple[float, ...]:
    """The step sizes, and half of the smallest before them."""
    return min(step_sizes) / 2, *step_sizes


def _largest(rows: pd.DataFrame) -> pd.DataFrame:
    """The largest value of every seed and step."""
    return rows.groupby(["seed", "step"])["value"].max().reset_index()
