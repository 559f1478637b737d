"""Claim C23: does early smoothness go with speed, across normalizers, rates and noise? (not tested in the paper)"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import PerSeed, TooFewError, scaled
from normlab.analysis.quantities import phase_median
from normlab.analysis.rates import smoothness_and_speed
from normlab.analysis.statistics import Interval, spearman_interval
from normlab.analysis.verdicts import Parts
from normlab.analysis.walks import beta_up_to_rate
from normlab.specs.analyze import AnalyzeSpec


@dataclass(frozen=True)
class Association:
    """A rank correlation across cells, each a median over its seeds.

    Attributes:
        x, y: one entry a cell; y is inf where most seeds never reached the accuracy.
        seeds: of the cell that has the fewest.
    """

    x: Sequence[float]
    y: Sequence[float]
    seeds: int

    def interval(self, spec: AnalyzeSpec) -> Interval:
        """Spearman's ρ with its interval over cells."""
        return spearman_interval(self.x, self.y, confidence=spec.confidence)


def smooth_is_fast(cells: Cells, *, accuracy: float, phase: Sequence[float], min_cells: int) -> Parts:
    """C23: Spearman's ρ of early β (step sizes ≤ the rate) with steps to the accuracy; positive if smooth is fast."""

    def everything(measure: Callable[[Cell], PerSeed]) -> Association:
        return associate(_cells(cells), measure, accuracy, cells.spec.window, min_cells)

    def at_one_rate() -> Association:
        return associate(cells.compared(), lambda c: beta_up_to_rate(c, phase), accuracy, cells.spec.window, min_cells)

    return {
        "all_cells": lambda: everything(lambda cell: beta_up_to_rate(cell, phase)),
        "one_rate": at_one_rate,
        "limit": lambda: everything(lambda cell: phase_median(cell, "curvature", "stretch", phase)),
        "in_rates": lambda: everything(lambda cell: scaled(beta_up_to_rate(cell, phase), cell.learning_rate)),
        "whole_range": lambda: everything(
            lambda cell: phase_median(cell, "landscape", "effective_beta", phase, step_size=None)
        ),
    }


def _cells(cells: Cells) -> list[Cell]:
    return [cell for (network, _, _), cell in cells.all.items() if network == cells.spec.network]


def associate(
    chosen: Sequence[Cell], measure: Callable[[Cell], PerSeed], accuracy: float, window: int, min_cells: int
) -> Association:
    """The two medians of every cell that has both; a cell whose seeds all diverged before the phase has none.

    Raises:
        TooFewError: fewer than `min_cells` cells.
    """
    table = smoothness_and_speed(chosen, measure, accuracy, window)
    if len(table) < min_cells:
        raise TooFewError(f"{len(table)} of {min_cells} cells")
    return Association(table["smoothness"].tolist(), table["steps"].tolist(), int(table["seeds"].min()))
