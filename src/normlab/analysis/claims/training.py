"""Claims about training itself: speed, usable learning rates, noise, ℓp normalizers (paper §2, §3.3; Fig. 1, 2, 5).

Runs of different length are compared over the steps that they share.
"""

from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.claims.landscape import LP, farthest
from normlab.analysis.claims.stability import shallow
from normlab.analysis.estimates import PerSeed, closeness, difference, exact, largest, log, ratio
from normlab.analysis.parts import Parts
from normlab.analysis.quantities import (
    final_held_out_accuracy,
    final_test_accuracy,
    final_train_accuracy,
    mean_held_out_accuracy,
    mean_train_accuracy,
    steps_to_accuracy,
)
from normlab.analysis.rates import best_rate, largest_alive_rate, largest_usable_rate, widest_sweep
from normlab.analysis.windows import Window, shortened, uncovered


def faster_and_better(cells: Cells, *, accuracy: float) -> Parts:
    """C1: steps(none)/steps(batch) and test(batch) − test(none), at one rate and with each at its own best rate.

    The best rate is chosen on held-out training data, and for what it is judged by: the mean held-out accuracy over the
    run for speed, the final one for the test accuracy.
    """
    window = cells.spec.window

    def speed(plain: Cell, normalized: Cell) -> PerSeed:
        return ratio(steps_to_accuracy(plain, accuracy, window), steps_to_accuracy(normalized, accuracy, window))

    def test(plain: Cell, normalized: Cell) -> PerSeed:
        until = min(int(cell.horizons.max()) for cell in (plain, normalized))
        return difference(final_test_accuracy(normalized, until), final_test_accuracy(plain, until))

    def same_rate() -> tuple[Cell, Cell]:
        return cells.vgg("none"), cells.vgg("batch")

    def own_rates(score: Callable[[Cell], PerSeed]) -> tuple[Cell, Cell]:
        return best_rate(cells, "none", score), best_rate(cells, "batch", score)

    return {
        "speed": lambda: speed(*same_rate()),
        "test": lambda: test(*same_rate()),
        "speed_own_rates": lambda: speed(*own_rates(mean_held_out_accuracy)),
        "test_own_rates": lambda: test(*own_rates(final_held_out_accuracy)),
    }


def wider_rates(cells: Cells, *, alive: float, accuracy: float) -> Parts:
    """C2: largest rate at which the network is alive (reaches the accuracy), batch over none, bracketed by the grid."""
    window = cells.spec.window

    def of(largest: Callable[[Sequence[Cell]], PerSeed]) -> PerSeed:
        swept = widest_sweep(cells, ("none", "batch"))
        return ratio(largest(swept["batch"]), largest(swept["none"]))

    return {
        "rate_ratio": lambda: of(lambda swept: largest_alive_rate(swept, alive, window)),
        "reaching": lambda: of(lambda swept: largest_usable_rate(swept, accuracy, window)),
    }


def noisy_as_good(cells: Cells, *, steps: Window, accuracy: float, levels: Sequence[float]) -> Parts:
    """C4: noisy BatchNorm lies nearer to BatchNorm than to the plain network, and is better than that.

    By the area under the training curve over a window, by the steps to every accuracy of `levels` (the whole curve, not
    one crossing), and by the steps to one accuracy.
    """
    names = ("noisy_batch", "none", "batch")

    def areas() -> tuple[PerSeed, PerSeed, PerSeed]:
        three = [cells.vgg(name) for name in names]
        until = shortened(three, steps)[1]
        noisy, plain, normalized = (mean_train_accuracy(cell, until) for cell in three)
        return noisy.lacking(uncovered(three, steps)), plain, normalized

    def reached(name: str, level: float) -> PerSeed:
        return log(steps_to_accuracy(cells.vgg(name), level, cells.spec.window))

    def closer_at(level: float) -> PerSeed:
        return closeness(*(reached(name, level) for name in names))

    def closer_levels() -> PerSeed:
        tables = [closer_at(level).values for level in levels]
        return PerSeed(sum(tables[1:], tables[0]) / len(tables))

    def area_closer() -> PerSeed:
        noisy, plain, normalized = areas()
        return closeness(noisy, plain, normalized).lacking(noisy.lacks)

    return {
        "closer_area": area_closer,
        "better_area": lambda: difference(*areas()[:2]),
        "closer_levels": closer_levels,
        "closer_steps": lambda: closer_at(accuracy),
        "better_steps": lambda: ratio(
            steps_to_accuracy(cells.vgg("none"), accuracy, cells.spec.window),
            steps_to_accuracy(cells.vgg("noisy_batch"), accuracy, cells.spec.window),
        ),
        "gap_area": lambda: difference(areas()[2], areas()[0]),
    }


def noise_stops_plain(cells: Cells) -> Parts:
    """C6: the plain network with the noise block: training accuracy at the end; depth is what it depends on."""

    def final() -> PerSeed:
        cell = cells.vgg("noise")
        return final_train_accuracy(cell, cells.spec.window).lacking(shallow(cell))

    return {"final": final}


def lp_trains_as_batch(cells: Cells, *, accuracy: float) -> Parts:
    """C14: ℓp against BatchNorm and the plain network: steps to the accuracy, final test accuracy."""
    window = cells.spec.window

    def steps(norm_layer: str) -> PerSeed:
        return steps_to_accuracy(cells.vgg(norm_layer), accuracy, window)

    def faster(p: str, other: str) -> PerSeed:
        return ratio(steps(p), steps(other))

    def slowest(other: str) -> PerSeed:
        return largest([faster(p, other) for p in LP])

    def test(p: str) -> PerSeed:
        pair = cells.vgg(p), cells.vgg("batch")
        until = min(int(cell.horizons.max()) for cell in pair)
        return difference(*(final_test_accuracy(cell, until) for cell in pair))

    def largest_gap() -> PerSeed:
        gaps = pd.DataFrame({p: test(p).values["value"].abs() for p in LP})
        return exact(gaps.max(axis=1, skipna=False))

    parts: dict[str, Callable[[], PerSeed]] = {
        "farthest": lambda: farthest([faster(p, "batch") for p in LP]),
        "slowest_against_none": lambda: slowest("none"),
        "farthest_test": largest_gap,
    }
    for p in LP:
        parts[f"{p}_steps"] = partial(faster, p, "batch")
        parts[f"{p}_against_none"] = partial(faster, p, "none")
        parts[f"{p}_test"] = partial(test, p)
    return parts
