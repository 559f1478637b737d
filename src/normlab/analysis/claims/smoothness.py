"""Claims about the effective β-smoothness, with the tests for what else could make its curve (paper §3.1; Figure 4c).

The plateau is the median effective β over the late window. If ‖∇f(w_k) − g‖ ≈ ‖g‖ already at the smallest step
η_min, then max_k β_k = 1/η_min whatever the network: halving η_min doubles it. If training sits at the edge of
stability, ‖Hg‖/‖g‖ (the limit η → 0) is 2/learning rate. The paper's grid starts at half the learning rate, where
1/η_min and 2/learning rate are one number.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.claims.landscape import against_batch, at_equal_accuracy, summary
from normlab.analysis.estimates import NotRunError, PerSeed, difference, exact, exact_ratio, ratio, scaled
from normlab.analysis.layers import depth_slope
from normlab.analysis.parts import Parts
from normlab.analysis.quantities import phase_median, settled
from normlab.analysis.reversals import reversal
from normlab.analysis.walks import halved_step
from normlab.analysis.windows import Window, in_window, median_in, uncovered
from normlab.tables.frames import select

BOTH = ("none", "batch")


def smoother(cells: Cells, *, steps: Window, early: Window, late: Window, step_sizes: Sequence[float]) -> Parts:
    """C11: batch/none of the effective β; the plateau of each network and what moves it."""
    smallest = min(step_sizes)

    def inverse(found: PerSeed) -> PerSeed:
        return ratio(exact(dict.fromkeys(found.values.index, 1.0)), found)

    def beta(window: Window, probe: str, quantity: str, size: float | None = None) -> PerSeed:
        return inverse(against_batch(cells, probe, quantity, window, in_rates=size))

    parts: dict[str, Callable[[], PerSeed]] = {
        "beta": lambda: beta(steps, "landscape", "effective_beta"),
        "limit": lambda: beta(steps, "curvature", "stretch"),
        "equal_distance": lambda: beta(steps, "landscape_equal_distance", "effective_beta"),
        "equal_accuracy": lambda: inverse(at_equal_accuracy(cells, summary("effective_beta"))),
        "early": lambda: beta(early, "landscape", "effective_beta"),
        "early_limit": lambda: beta(early, "curvature", "stretch"),
    }
    for size in (smallest / 2, *step_sizes):
        parts[f"at_{size:g}"] = partial(beta, steps, "landscape", "beta", size)

    def late_in_rates(norm_layer: str, probe: str, quantity: str, factor: float = 1.0) -> PerSeed:
        cell = cells.vgg(norm_layer)
        found = scaled(median_in(cell, probe, quantity, late, step_size=None), factor * cell.learning_rate)
        return found.lacking(uncovered((cell,), late))

    def halved(norm_layer: str) -> PerSeed:
        cell = cells.vgg(norm_layer)
        found = in_window(cell, late, lambda inner, phase: halved_step(inner, phase, step_sizes))
        return PerSeed(found.values, "ratio").lacking(uncovered((cell,), late))

    for norm_layer in BOTH:
        parts[f"halved_{norm_layer}"] = partial(halved, norm_layer)
        parts[f"plateau_{norm_layer}"] = partial(late_in_rates, norm_layer, "landscape", "effective_beta", smallest)
        parts[f"stretch_{norm_layer}"] = partial(late_in_rates, norm_layer, "curvature", "stretch")
        parts[f"sharpness_{norm_layer}"] = partial(late_in_rates, norm_layer, "curvature", "top_eigenvalue")
        parts[f"rate_moved_{norm_layer}"] = partial(rate_moved, cells, norm_layer, (0.7, 1.0))
    parts["same_function"] = lambda: same_function(cells)
    return parts


def rate_moved(cells: Cells, norm_layer: str, phase: Sequence[float]) -> PerSeed:
    """Plateau × learning rate, at the neighboring rate over that at the usual one: 1 if the plateau follows c/rate.

    Runs at another rate may be shorter: the plateau of each is that of a fraction (a, b] of its own updates.

    Raises:
        NotRunError: the normalizer was run at one rate only.
    """
    here = cells.vgg(norm_layer)
    others = [cell for cell in cells.rates(norm_layer) if cell is not here]
    if not others:
        raise NotRunError(f"no second learning rate for norm_layer {norm_layer}")
    there = min(others, key=lambda cell: abs(math.log(cell.learning_rate / here.learning_rate)))
    sides = (
        scaled(phase_median(cell, "landscape", "effective_beta", phase, step_size=None), cell.learning_rate)
        for cell in (there, here)
    )
    return ratio(*sides)


def same_function(cells: Cells) -> PerSeed:
    """β after/before BatchNorm with γ = σ, β = μ is put into a trained plain network: the same function, other
    weights.

    The largest checkpoint step of each seed counts.

    Raises:
        NotRunError: the study was not run.
    """
    conditions = {"network": cells.spec.network, "learning_rate": cells.spec.learning_rate, "step_size": None}
    rows = select(cells.reparametrization, probe="landscape", quantity="effective_beta", **conditions)
    if not len(rows):
        raise NotRunError("no run of the study reparametrization at this network and learning rate")
    last = rows[rows["step"] == rows.groupby("seed")["step"].transform("max")]
    sides = (
        exact(select(last, norm_layer=norm_layer).groupby("seed")["value"].median()) for norm_layer in ("batch", "none")
    )
    return ratio(*sides)


def rougher_at_start(cells: Cells) -> Parts:
    """C24: the step at which batch/none falls below 1 to stay, and the ratio at step 0; growth of the gradient."""

    def walked(quantity: str) -> pd.DataFrame:
        pair = (settled(cells.vgg(n), "landscape", quantity, step_size=None) for n in ("batch", "none"))
        return by_step(*pair)

    def shifted() -> pd.DataFrame:
        rows = [settled(cells.vgg(n), "shift", "l2") for n in ("batch", "none")]
        layers = [by_step(*(part[part["layer"] == layer] for part in rows)) for layer in rows[0]["layer"].unique()]
        return pd.concat(layers).groupby(["seed", "step"])["value"].median().dropna().reset_index()

    measures: dict[str, Callable[[], pd.DataFrame]] = {
        "distance": lambda: walked("gradient_distance_high"),
        "beta": lambda: walked("effective_beta"),
        "shift": shifted,
    }

    def at_start(rows: Callable[[], pd.DataFrame]) -> PerSeed:
        found = rows()
        found = found[found["step"] == 0]
        if not len(found):
            raise NotRunError("nothing was measured at step 0 of both networks")
        return exact_ratio(found.set_index("seed")["value"])

    def turned(rows: Callable[[], pd.DataFrame]) -> PerSeed:
        return reversal(rows(), cells.vgg("batch").horizons)

    parts: dict[str, Callable[[], PerSeed]] = {}
    for name, rows in measures.items():
        parts[f"reversal_{name}"] = partial(turned, rows)
        parts[f"start_{name}"] = partial(at_start, rows)
    parts["depth_slope"] = lambda: difference(depth_slope(cells.vgg("batch")), depth_slope(cells.vgg("none")))
    return parts


def by_step(top: pd.DataFrame, bottom: pd.DataFrame) -> pd.DataFrame:
    """top/bottom at every step that a seed has in both: columns seed, step, value."""
    sides = (rows.set_index(["seed", "step"])["value"] for rows in (top, bottom))
    joined = pd.concat(sides, axis=1, join="inner", keys=["top", "bottom"])
    return (joined["top"] / joined["bottom"]).rename("value").dropna().reset_index()
