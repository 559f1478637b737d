"""Within which band a quantity counts as the same in another arithmetic, at its edges and by hand."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.catalog import Quantity
from normlab.analysis.estimates import NotRunError, exact
from normlab.analysis.precision import PrecisionPair, Sameness, sameness

NAN = math.nan
REFERENCE = (2.0, 2.5, 3.0, 3.5, 4.0)  # the largest is twice the least, and 2 more


def found(reference: Sequence[float], reduced: Sequence[float], signed: bool) -> Sameness:
    values: dict[Any, Sequence[float]] = {"float32": reference, "bf16": reduced}
    quantity = Quantity("", "", "", lambda cell: exact(dict(enumerate(values[cell]))), signed=signed)
    pair: Any = PrecisionPair("bf16", "float32", "bf16")  # type: ignore[arg-type]
    answer = sameness(quantity, pair, SPEC)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("more", "answer"),
    [(0, "yes"), (1, "yes"), (2, "yes"), (2.001, "no"), (9, "no"), (-2, "yes"), (-2.001, "no"), (-9, "no")],
)
def test_differences_of_a_signed_quantity_within_its_range_are_the_same(more: float, answer: str) -> None:
    for shift in (0.0, -3.0):  # of both signs
        reference = [value + shift for value in REFERENCE]
        one = found(reference, [value + more for value in reference], signed=True)
        assert one.band == (-2.0, 2.0)
        assert (one.interval.low, one.interval.high) == pytest.approx((more, more))
        assert one.answer == answer
        assert one.found.values["value"].tolist() == pytest.approx([more] * 5)


@pytest.mark.parametrize(
    ("factor", "answer"), [(1, "yes"), (1.999, "yes"), (2.001, "no"), (0.501, "yes"), (0.499, "no")]
)
@pytest.mark.parametrize("unit", [1.0, 0.1, 1e3])
def test_ratios_within_largest_over_least_are_the_same(factor: float, answer: str, unit: float) -> None:
    one = found([unit * value for value in REFERENCE], [unit * factor * value for value in REFERENCE], signed=False)
    assert one.band == pytest.approx((0.5, 2.0), rel=1e-12)
    assert one.answer == answer
    assert one.found.kind == "ratio"


@pytest.mark.parametrize(
    "moves",
    [(-4, -1, 0, 1, 4), (0, 1, 2, 3, 4), (-4, -3, -2, -1, 0), (-9, -9, 0, 9, 9)],  # beyond both ends, or one of them
)
def test_an_interval_that_is_not_in_the_band_and_not_outside_leaves_it_undecided(moves: Sequence[float]) -> None:
    one = found(REFERENCE, [value + move for value, move in zip(REFERENCE, moves, strict=True)], signed=True)
    assert one.interval.low < -2 or one.interval.high > 2
    assert one.answer == "undecided"


@pytest.mark.parametrize(
    ("reference", "signed", "band"),
    [
        ((2.0,), False, (NAN, NAN)),  # of one seed nothing is known
        ((2.0,), True, (NAN, NAN)),
        ((2.0, 8.0), False, (0.25, 4.0)),
        ((2.0, 8.0), True, (-6.0, 6.0)),
        ((8.0, 2.0, 4.0), False, (0.25, 4.0)),
        ((0.2, 0.8), False, (0.25, 4.0)),
        ((2.0, 0.0), False, (NAN, NAN)),  # no number is a multiple of 0
        ((2.0, -0.5), True, (-2.5, 2.5)),
        ((0.0, 0.0), True, (0.0, 0.0)),
        ((2.0, math.inf), False, (NAN, NAN)),
        ((2.0, math.inf), True, (NAN, NAN)),
        ((2.0, NAN), True, (NAN, NAN)),
    ],
)
def test_bands_by_hand(reference: Sequence[float], signed: bool, band: tuple[float, float]) -> None:
    one = found(reference, reference, signed)
    assert one.band == pytest.approx(band, nan_ok=True)
    assert one.answer == "undecided"  # so few seeds decide nothing


def test_five_seeds_one_of_which_is_unknown_decide_nothing() -> None:
    assert found((*REFERENCE[:4], NAN), REFERENCE, signed=True).answer == "undecided"


def test_what_one_of_the_two_lacks_is_none() -> None:
    def measure(cell: Any) -> Any:
        if cell == "bf16":
            raise NotRunError("no such rows")
        return exact(dict(enumerate(REFERENCE)))

    for pair in (PrecisionPair("bf16", "float32", "bf16"), PrecisionPair("bf16", "bf16", "float32")):  # type: ignore[arg-type]
        assert sameness(Quantity("", "", "", measure), pair, SPEC) is None
