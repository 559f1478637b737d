"""Claims about training itself: speed, usable learning rates, noise, ℓp normalizers (paper §2, §3.3; Fig. 1, 2, 5)."""

from collections.abc import Callable
from functools import partial

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed, closeness, difference, log, ratio
from normlab.analysis.quantities import (
    final_test_accuracy,
    final_train_accuracy,
    mean_train_accuracy,
    steps_to_accuracy,
)
from normlab.analysis.rates import best_rate, largest_usable_rate
from normlab.analysis.verdicts import Parts


def faster_and_better(cells: Cells, *, accuracy: float) -> Parts:
    """C1: steps(none)/steps(batch) and test(batch) − test(none), at one rate and with each at its own best rate."""
    window = cells.spec.window

    def speed(plain: Cell, normalized: Cell) -> PerSeed:
        return ratio(steps_to_accuracy(plain, accuracy, window), steps_to_accuracy(normalized, accuracy, window))

    def test(plain: Cell, normalized: Cell) -> PerSeed:
        return difference(final_test_accuracy(normalized), final_test_accuracy(plain))

    def same_rate() -> tuple[Cell, Cell]:
        return cells.vgg("none"), cells.vgg("batch")

    def own_rates() -> tuple[Cell, Cell]:
        return best_rate(cells, "none", accuracy), best_rate(cells, "batch", accuracy)

    return {
        "speed": lambda: speed(*same_rate()),
        "test": lambda: test(*same_rate()),
        "speed_own_rates": lambda: speed(*own_rates()),
        "test_own_rates": lambda: test(*own_rates()),
    }


def wider_rates(cells: Cells, *, accuracy: float) -> Parts:
    """C2: largest rate that reaches the accuracy, batch over none, as bracketed by the grid of rates."""

    def largest(norm_layer: str) -> PerSeed:
        swept = cells.rates(norm_layer)
        if len(swept) < 2:
            raise NotRunError(f"no sweep of learning rates for norm_layer {norm_layer}: {len(swept)} in the grid")
        return largest_usable_rate(swept, accuracy, cells.spec.window)

    return {"rate_ratio": lambda: ratio(largest("batch"), largest("none"))}


def noisy_as_good(cells: Cells, *, accuracy: float, high_accuracy: float) -> Parts:
    """C4: noisy BatchNorm lies nearer to BatchNorm than to the plain network, and is better than that."""
    window = cells.spec.window

    def area(norm_layer: str) -> PerSeed:
        return mean_train_accuracy(cells.vgg(norm_layer))

    def steps(norm_layer: str, level: float) -> PerSeed:
        return log(steps_to_accuracy(cells.vgg(norm_layer), level, window))

    def closer_in_steps(level: float) -> PerSeed:
        return closeness(steps("noisy_batch", level), steps("none", level), steps("batch", level))

    return {
        "closer_area": lambda: closeness(area("noisy_batch"), area("none"), area("batch")),
        "better_area": lambda: difference(area("noisy_batch"), area("none")),
        "closer_steps": lambda: closer_in_steps(accuracy),
        "better_steps": lambda: ratio(
            steps_to_accuracy(cells.vgg("none"), accuracy, window),
            steps_to_accuracy(cells.vgg("noisy_batch"), accuracy, window),
        ),
        "closer_steps_high": lambda: closer_in_steps(high_accuracy),
        "gap_area": lambda: difference(area("batch"), area("noisy_batch")),
    }


def noise_stops_plain(cells: Cells) -> Parts:
    """C6: the plain network with the noise block: training accuracy at the end."""
    return {"final": lambda: final_train_accuracy(cells.vgg("noise"), cells.spec.window)}


def lp_trains_as_batch(cells: Cells, *, accuracy: float) -> Parts:
    """C14: ℓp against BatchNorm and the plain network: steps to the accuracy, final test accuracy."""
    window = cells.spec.window

    def steps(norm_layer: str) -> PerSeed:
        return steps_to_accuracy(cells.vgg(norm_layer), accuracy, window)

    def faster(p: str, other: str) -> PerSeed:
        return ratio(steps(p), steps(other))

    def test(p: str) -> PerSeed:
        return ratio(final_test_accuracy(cells.vgg(p)), final_test_accuracy(cells.vgg("batch")))

    parts: dict[str, Callable[[], PerSeed]] = {}
    for p in ("l1", "l2", "linf"):
        parts[f"{p}_steps"] = partial(faster, p, "batch")
        parts[f"{p}_against_none"] = partial(faster, p, "none")
        parts[f"{p}_test"] = partial(test, p)
    return parts
