"""Does the arithmetic of training change what is measured? Runs that differ in `train.precision` alone, seed by seed.

Two runs of one seed start at the same weights and see the same images. What rounding changes is compared with what
another seed changes: the spread of the float32 runs over seeds.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from normlab.analysis.catalog import Quantity
from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed
from normlab.analysis.statistics import Interval
from normlab.specs import variant
from normlab.specs.analyze import AnalyzeSpec

REFERENCE = "float32"


@dataclass(frozen=True)
class PrecisionPair:
    """Two cells whose runs differ in the arithmetic of training alone.

    Attributes:
        precision: of `reduced`.
        reference: trained in float32.
        reduced: trained in `precision`.
    """

    precision: str
    reference: Cell
    reduced: Cell


@dataclass(frozen=True)
class Sameness:
    """A quantity of the reduced runs against that of the float32 runs.

    Attributes:
        found: reduced ÷ float32 (minus, of a signed quantity) within each seed.
        interval: over seeds.
        band: [1/R, R], R the largest of the float32 runs' values over the least; of a signed quantity ± their range.
        answer: yes: the whole interval lies in the band; no: it lies outside; undecided otherwise, also where an
            interval of so few seeds decides nothing.
    """

    found: PerSeed
    interval: Interval
    band: tuple[float, float]
    answer: Literal["yes", "no", "undecided"]


def precision_pairs(cells: Cells, shared: str) -> Iterator[PrecisionPair]:
    """The pairs among the cells that the claims compare, of every variant.

    Args:
        cells: with the rows of every variant.
        shared: `train.precision`, which runs have whose variant does not name another.
    """
    by_spec: dict[tuple[str, str], dict[str, Cell]] = {}
    for of_variant in cells.variants:
        settings = variant.read(of_variant.variant)
        precision = settings.pop("precision", shared)
        for cell in of_variant.compared():
            by_spec.setdefault((variant.write(settings), cell.norm_layer), {})[precision] = cell
    for found in by_spec.values():
        for precision in sorted(found.keys() - {REFERENCE}):
            if REFERENCE in found:
                yield PrecisionPair(precision, found[REFERENCE], found[precision])


def sameness(quantity: Quantity, pair: PrecisionPair, spec: AnalyzeSpec) -> Sameness | None:
    """Whether a quantity is the same within the seeds' spread; None where it is not known of both on a seed."""
    try:
        found = quantity.against(pair.reduced, pair.reference)
        values = quantity.measure(pair.reference).values["value"].to_numpy()
    except NotRunError:
        return None
    interval, band = found.interval(spec), _band(values, quantity.signed)
    answer: Literal["yes", "no", "undecided"] = "undecided"
    if interval.decides and not math.isnan(band[0]):
        if band[0] <= interval.low and interval.high <= band[1]:
            answer = "yes"
        elif interval.high < band[0] or interval.low > band[1]:
            answer = "no"
    return Sameness(found, interval, band, answer)


def _band(values: np.ndarray, signed: bool) -> tuple[float, float]:
    """How far apart two seeds are; NaN where that is not known: one seed, a value that is not a positive number."""
    if len(values) < 2 or not np.isfinite(values).all() or (not signed and not (values > 0).all()):
        return math.nan, math.nan
    if signed:
        return -float(np.ptp(values)), float(np.ptp(values))
    return float(values.min() / values.max()), float(values.max() / values.min())
