"""Question C23: does early smoothness go with speed, across normalizers? (not tested in the paper)

Cells of one learning rate are compared with each other only: with the rate both β (which follows 2/rate) and speed
change, whatever the normalizer does. Cells of one normalizer are not independent: intervals resample normalizers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import PerSeed, TooFewError
from normlab.analysis.parts import Parts
from normlab.analysis.rates import smoothness_and_speed
from normlab.analysis.statistics import Interval, clustered_rank_correlation
from normlab.analysis.walks import plateau
from normlab.analysis.windows import Window, in_window, median_in
from normlab.specs.analyze import AnalyzeSpec


@dataclass(frozen=True)
class Association:
    """A rank correlation across cells within learning rates, each cell a median over its seeds.

    Attributes:
        x, y: one entry a cell; y is inf where most seeds never reached the accuracy.
        rates, normalizers: of each cell.
        seeds: of the cell that has the fewest.
    """

    x: Sequence[float]
    y: Sequence[float]
    rates: Sequence[float]
    normalizers: Sequence[str]
    seeds: int

    def interval(self, spec: AnalyzeSpec) -> Interval:
        """Spearman's ρ within rates, with an interval over normalizers."""
        return clustered_rank_correlation(
            self.x,
            self.y,
            self.rates,
            self.normalizers,
            confidence=spec.confidence,
            resamples=spec.resamples,
            seed=spec.seed,
        )


def smooth_is_fast(cells: Cells, *, accuracy: float, steps: Window, near: Sequence[float], min_cells: int) -> Parts:
    """C23: Spearman's ρ of early β (step sizes ≤ the rate) with steps to the accuracy; positive if smooth is fast."""

    def over(measure: Callable[[Cell], PerSeed]) -> Association:
        chosen = [cell for (network, _, _), cell in cells.all.items() if network == cells.spec.network]
        return associate(chosen, measure, accuracy, cells.spec.window, min_cells)

    return {
        "within_rates": lambda: over(
            lambda cell: in_window(cell, steps, lambda inner, phase: plateau(inner, phase, near))
        ),
        "limit": lambda: over(lambda cell: median_in(cell, "curvature", "stretch", steps)),
        "whole_range": lambda: over(lambda cell: median_in(cell, "landscape", "effective_beta", steps, step_size=None)),
        "distance": lambda: over(
            lambda cell: median_in(cell, "landscape", "gradient_distance_high", steps, step_size=None)
        ),
    }


def associate(
    chosen: Sequence[Cell], measure: Callable[[Cell], PerSeed], accuracy: float, window: int, min_cells: int
) -> Association:
    """The two medians of every cell that has both, a diverged seed among the roughest and slowest.

    Raises:
        TooFewError: fewer than `min_cells` cells.
    """
    table = smoothness_and_speed(chosen, measure, accuracy, window)
    if len(table) < min_cells:
        raise TooFewError(f"{len(table)} of {min_cells} cells")
    x, y, rates, normalizers = (table[name].tolist() for name in ("smoothness", "steps", "learning_rate", "norm_layer"))
    return Association(x, y, rates, normalizers, int(table["seeds"].min()))
