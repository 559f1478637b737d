"""Claims about the effective β-smoothness, with the tests for what else could make its curve (paper §3.1; Figure 4c).

The plateau is the median effective β over the last phase. If ‖∇f(w_k) − g‖ ≈ ‖g‖ already at the smallest step
η_min, then max_k β_k = 1/η_min whatever the network: halving η_min doubles it. If training sits at the edge of
stability, ‖Hg‖/‖g‖ (the limit η → 0) is 2/learning rate. The paper's grid starts at half the learning rate, where
1/η_min and 2/learning rate are one number.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

from normlab.analysis.cells import Cells
from normlab.analysis.claims.landscape import against_batch
from normlab.analysis.estimates import NotRunError, PerSeed, difference, exact, ratio, scaled
from normlab.analysis.layers import depth_slope
from normlab.analysis.quantities import at_step, phase_median
from normlab.analysis.verdicts import Parts
from normlab.analysis.walks import halved_step
from normlab.tables.frames import select

BOTH = ("none", "batch")


def smoother(cells: Cells, *, early: Sequence[float], late: Sequence[float], step_sizes: Sequence[float]) -> Parts:
    """C11: batch/none of the effective β early; the plateau of each network and what moves it."""
    smallest = min(step_sizes)

    def early_fold(probe: str, quantity: str, size: float | None = None) -> PerSeed:
        fold = against_batch(cells, probe, quantity, early, step_size_in_rates=size)
        return ratio(exact(dict.fromkeys(fold.values.index, 1.0)), fold)

    parts: dict[str, Callable[[], PerSeed]] = {
        "early": lambda: early_fold("landscape", "effective_beta"),
        "early_limit": lambda: early_fold("curvature", "stretch"),
        "early_equal_distance": lambda: early_fold("landscape_equal_distance", "effective_beta"),
    }
    for size in (smallest / 2, *step_sizes):
        parts[f"early_at_{size:g}"] = partial(early_fold, "landscape", "beta", size)

    def late_in_rates(norm_layer: str, probe: str, quantity: str, factor: float = 1.0) -> PerSeed:
        cell = cells.vgg(norm_layer)
        found = phase_median(cell, probe, quantity, late, step_size=None)
        return scaled(found, factor * cell.learning_rate)

    def halved(norm_layer: str) -> PerSeed:
        return halved_step(cells.vgg(norm_layer), late, step_sizes)

    for norm_layer in BOTH:
        parts[f"halved_{norm_layer}"] = partial(halved, norm_layer)
        parts[f"plateau_{norm_layer}"] = partial(late_in_rates, norm_layer, "landscape", "effective_beta", smallest)
        parts[f"stretch_{norm_layer}"] = partial(late_in_rates, norm_layer, "curvature", "stretch")
        parts[f"sharpness_{norm_layer}"] = partial(late_in_rates, norm_layer, "curvature", "top_eigenvalue")
        parts[f"rate_moved_{norm_layer}"] = partial(rate_moved, cells, norm_layer, late)
    parts["same_function"] = lambda: same_function(cells)
    return parts


def rate_moved(cells: Cells, norm_layer: str, phase: Sequence[float]) -> PerSeed:
    """Plateau × learning rate, at the neighboring rate over that at the usual one: 1 if the plateau follows c/rate.

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


def rougher_at_start(cells: Cells, *, steps: int) -> Parts:
    """C24: batch/none at step 0 and at the last probed step ≤ `steps`; growth of the gradient with depth."""
    quantities = {
        "shift": ("shift", "l2", {}),
        "distance": ("landscape", "gradient_distance_high", {"step_size": None}),
        "beta": ("landscape", "effective_beta", {"step_size": None}),
    }

    def fold(name: str, step: int) -> PerSeed:
        probe, quantity, conditions = quantities[name]
        sides = (at_step(cells.vgg(n), probe, quantity, step, **conditions) for n in ("batch", "none"))
        return ratio(*sides)

    parts: dict[str, Callable[[], PerSeed]] = {}
    for name in quantities:
        parts[f"start_{name}"] = partial(fold, name, 0)
        parts[f"later_{name}"] = partial(fold, name, steps)
    parts["depth_slope"] = lambda: difference(depth_slope(cells.vgg("batch")), depth_slope(cells.vgg("none")))
    return parts
