"""Claims about the loss landscape along the gradient and random directions (paper §3.1, §3.2; Figures 4, 11, 12)."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import PerSeed, ratio
from normlab.analysis.quantities import phase_median, phase_peak
from normlab.analysis.verdicts import Parts
from normlab.analysis.walks import beta_up_to_rate, range_up_to_rate


def against_batch(
    cells: Cells, probe: str, quantity: str, phase: Sequence[float], *, step_size_in_rates: float | None = None
) -> PerSeed:
    """none/batch of a walk's median over a phase: its summary, or its value at one step size."""
    sides = []
    for norm_layer in ("none", "batch"):
        cell = cells.vgg(norm_layer)
        size = None if step_size_in_rates is None else step_size_in_rates * cell.learning_rate
        sides.append(phase_median(cell, probe, quantity, phase, step_size=size))
    return ratio(*sides)


def loss_varies_less(cells: Cells, *, phase: Sequence[float], edges: Sequence[float]) -> Parts:
    """C9: none/batch of the loss band's width: along the gradient, at equal distance, at step sizes ≤ the rate."""
    parts: dict[str, Callable[[], PerSeed]] = {
        "gradient": lambda: against_batch(cells, "landscape", "loss_range", phase),
        "equal_distance": lambda: against_batch(cells, "landscape_equal_distance", "loss_range", phase),
        "up_to_rate": lambda: ratio(
            range_up_to_rate(cells.vgg("none"), phase), range_up_to_rate(cells.vgg("batch"), phase)
        ),
        "penalized": lambda: against_batch(cells, "landscape_penalized", "loss_range", phase),
    }
    for number, part in enumerate(itertools.pairwise(edges), start=1):
        parts[f"phase_{number}"] = partial(against_batch, cells, "landscape", "loss_range", part)
    return parts


def gradient_more_predictive(cells: Cells, *, phase: Sequence[float], step_sizes: Sequence[float]) -> Parts:
    """C10: none/batch of max_k ‖∇f(w_k) − g‖, its peak over the run, and the same at every step size η_k."""

    def high() -> PerSeed:
        return against_batch(cells, "landscape", "gradient_distance_high", phase)

    def peak(norm_layer: str) -> PerSeed:
        return phase_peak(cells.vgg(norm_layer), "landscape", "gradient_distance_high", (0.0, 1.0), step_size=None)

    parts: dict[str, Callable[[], PerSeed]] = {
        "gradient": high,
        "direction": high,
        "peak": lambda: ratio(peak("none"), peak("batch")),
    }
    parts["equal_distance"] = lambda: against_batch(cells, "landscape_equal_distance", "gradient_distance_high", phase)
    for size in step_sizes:
        parts[f"at_{size:g}"] = partial(
            against_batch, cells, "landscape", "gradient_distance", phase, step_size_in_rates=size
        )
    return parts


def same_in_random_directions(cells: Cells, *, phase: Sequence[float]) -> Parts:
    """C13: none/batch of the walk along a Gaussian direction scaled to ‖g‖."""
    quantities = {"loss_range": "loss_range", "distance": "gradient_distance_high", "beta": "effective_beta"}
    return {
        name: partial(against_batch, cells, "landscape_random", quantity, phase)
        for name, quantity in quantities.items()
    }


def lp_as_smooth(cells: Cells, *, phase: Sequence[float]) -> Parts:
    """C16: ℓp/batch of the quantities of C9–C12."""

    def measure(p: str, quantity: str) -> PerSeed:
        sides = (phase_median(cells.vgg(n), "landscape", quantity, phase, step_size=None) for n in (p, "batch"))
        return ratio(*sides)

    def deep_linear_beta(p: str) -> PerSeed:
        return ratio(*(beta_up_to_rate(cells.deep_linear(n), phase) for n in (p, "batch")))

    parts: dict[str, Callable[[], PerSeed]] = {}
    for p in ("l1", "l2", "linf"):
        for name, quantity in (
            ("loss_range", "loss_range"),
            ("distance", "gradient_distance_high"),
            ("beta", "effective_beta"),
        ):
            parts[f"{p}_{name}"] = partial(measure, p, quantity)
        parts[f"{p}_deep_linear_beta"] = partial(deep_linear_beta, p)
    return parts
