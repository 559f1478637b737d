"""Claims about the loss landscape along the gradient and random directions (paper §3.1–§3.3; Figures 4, 11, 12).

Every number is a ratio none/batch (ℓp/batch in C16) of medians over a window of steps. Step sizes in settings are the
paper's, in units of the learning rate.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import PerSeed, away_from_one, difference, largest, ratio
from normlab.analysis.matching import matched_ratio
from normlab.analysis.parts import Parts
from normlab.analysis.quantities import phase_peak, settled
from normlab.analysis.walks import plateau
from normlab.analysis.windows import Window, band_over, fold, in_window, median_in, shortened, uncovered

GRADIENT, RANDOM, EQUAL = "landscape", "landscape_random", "landscape_equal_distance"
LP = ("l1", "l2", "linf")
BAND = "loss_range_steps"  # the width of Figure 4a's band: over the step sizes, without the base point


def against_batch(
    cells: Cells, probe: str, quantity: str, window: Window, *, in_rates: float | None = None, top: str = "none"
) -> PerSeed:
    """`top`/batch of a walk's median over a window: its summary, or its value at one step size (in learning rates)."""

    def measure(cell: Cell, both: Window) -> PerSeed:
        size = None if in_rates is None else in_rates * cell.learning_rate
        return median_in(cell, probe, quantity, both, step_size=size)

    return fold(cells.vgg(top), cells.vgg("batch"), window, measure)


def at_equal_accuracy(cells: Cells, rows: Callable[[Cell], pd.DataFrame]) -> PerSeed:
    """none/batch of a number of the walk where both networks score the same on the walked batch."""
    pair = cells.vgg("none"), cells.vgg("batch")
    return matched_ratio(*pair, (rows(pair[0]), rows(pair[1])), "train_accuracy")


def summary(quantity: str) -> Callable[[Cell], pd.DataFrame]:
    """The rows of a walk's summary."""
    return lambda cell: settled(cell, GRADIENT, quantity, step_size=None)


def loss_varies_less(cells: Cells, *, steps: Window, edges: Sequence[int], near: Sequence[float]) -> Parts:
    """C9: none/batch of the loss band's width: along the gradient, at equal distance, at step sizes ≤ the rate."""

    def up_to_rate() -> PerSeed:
        return fold(cells.vgg("none"), cells.vgg("batch"), steps, lambda cell, both: band_over(cell, both, near))

    parts: dict[str, Callable[[], PerSeed]] = {
        "gradient": lambda: against_batch(cells, GRADIENT, BAND, steps),
        "equal_distance": lambda: against_batch(cells, EQUAL, BAND, steps),
        "up_to_rate": up_to_rate,
        "equal_accuracy": lambda: at_equal_accuracy(cells, summary(BAND)),
        "with_base_point": lambda: against_batch(cells, GRADIENT, "loss_range", steps),
        "penalized": lambda: against_batch(cells, "landscape_penalized", BAND, steps),
    }
    for number, (first, last) in enumerate(itertools.pairwise(edges), start=1):
        parts[f"phase_{number}"] = partial(against_batch, cells, GRADIENT, BAND, (first + 1, last))
    return parts


def gradient_more_predictive(cells: Cells, *, steps: Window, step_sizes: Sequence[float]) -> Parts:
    """C10: none/batch of max_k ‖∇f(w_k) − g‖, its peak, and the same at every step size; how the gradient turns."""

    def peak(cell: Cell, both: Window) -> PerSeed:
        high = partial(phase_peak, probe=GRADIENT, quantity="gradient_distance_high", step_size=None)
        return in_window(cell, both, lambda inner, phase: high(inner, phase=phase))

    def turn() -> PerSeed:
        pair = cells.vgg("batch"), cells.vgg("none")
        both = shortened(pair, steps)
        cosines = (
            median_in(cell, GRADIENT, "gradient_cosine", both, worst=-1.0, step_size=cell.learning_rate)
            for cell in pair
        )
        return difference(*cosines).lacking(uncovered(pair, steps))

    parts: dict[str, Callable[[], PerSeed]] = {
        "gradient": lambda: against_batch(cells, GRADIENT, "gradient_distance_high", steps),
        "cosine": turn,
        "equal_distance": lambda: against_batch(cells, EQUAL, "gradient_distance_high", steps),
        "equal_accuracy": lambda: at_equal_accuracy(cells, summary("gradient_distance_high")),
        "peak": lambda: fold(cells.vgg("none"), cells.vgg("batch"), steps, peak),
    }
    for size in step_sizes:
        parts[f"at_{size:g}"] = partial(against_batch, cells, GRADIENT, "gradient_distance", steps, in_rates=size)
    return parts


def same_in_random_directions(cells: Cells, *, steps: Window) -> Parts:
    """C13: is none/batch along a random direction what it is along the gradient? A ratio of ratios, and both ratios.

    At equal ‖Δw‖/‖w‖ (probes `landscape_relative`, `landscape_random_relative`) neither the gradient's length nor the
    weights' scale is in the comparison; `_unscaled` is the walk of length ‖g‖ per unit, as in Figure 4.
    """
    quantities = {"loss_range": BAND, "distance": "gradient_distance_high", "beta": "effective_beta"}

    def one(probe: str, quantity: str) -> PerSeed:
        return against_batch(cells, probe, quantity, steps)

    def two(random: str, gradient: str, quantity: str) -> PerSeed:
        return ratio(one(random, quantity), one(gradient, quantity))

    parts: dict[str, Callable[[], PerSeed]] = {}
    for name, quantity in quantities.items():
        parts[f"{name}_ratio"] = partial(two, "landscape_random_relative", "landscape_relative", quantity)
        parts[name] = partial(one, "landscape_random_relative", quantity)
        parts[f"{name}_unscaled"] = partial(one, RANDOM, quantity)
        parts[f"{name}_ratio_unscaled"] = partial(two, RANDOM, GRADIENT, quantity)
    return parts


def lp_as_smooth(cells: Cells, *, steps: Window, dln_steps: Window, dln_near: Sequence[float]) -> Parts:
    """C16: ℓp/batch of the quantities of C9–C12, and the most that any of the three ℓp is away from BatchNorm."""

    def training(p: str, name: str) -> PerSeed:
        if name == "limit":
            return against_batch(cells, "curvature", "stretch", steps, top=p)
        quantity = {"loss_range": BAND, "distance": "gradient_distance_high", "beta": "effective_beta"}[name]
        return against_batch(cells, GRADIENT, quantity, steps, top=p)

    def deep_linear(p: str, name: str) -> PerSeed:
        def measure(cell: Cell, both: Window) -> PerSeed:
            if name == "beta":
                return in_window(cell, both, lambda inner, phase: plateau(inner, phase, dln_near))
            if name == "limit":
                return median_in(cell, "curvature", "stretch", both)
            return median_in(cell, GRADIENT, "effective_beta", both, step_size=None)

        return fold(cells.deep_linear(p), cells.deep_linear("batch"), dln_steps, measure)

    def apart(measure: Callable[[str, str], PerSeed], names: Sequence[str]) -> PerSeed:
        return farthest([measure(p, name) for p in LP for name in names])

    parts: dict[str, Callable[[], PerSeed]] = {
        "farthest": lambda: apart(training, ("loss_range", "distance", "beta")),
        "farthest_limit": lambda: apart(training, ("limit",)),
        "deep_linear_farthest": lambda: apart(deep_linear, ("beta",)),
        "deep_linear_farthest_limit": lambda: apart(deep_linear, ("limit",)),
    }
    for p in LP:
        for name in ("loss_range", "distance", "beta", "limit"):
            parts[f"{p}_{name}"] = partial(training, p, name)
        for name in ("beta", "far", "limit"):
            parts[f"{p}_deep_linear_{name}"] = partial(deep_linear, p, name)
    return parts


def farthest(ratios: Sequence[PerSeed]) -> PerSeed:
    """Seed by seed the largest of max(r, 1/r) over some ratios r."""
    return largest([away_from_one(one) for one in ratios])
