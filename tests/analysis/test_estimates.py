import math

import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.estimates import (
    COSINE,
    SHARE,
    NotRunError,
    away_from_one,
    censored,
    closeness,
    difference,
    exact,
    exact_ratio,
    largest,
    log,
    ratio,
    share,
    worst,
)

INF, NAN = math.inf, math.nan


def row(estimates, seed: int = 0) -> tuple[float, float, float]:
    value, low, high = estimates.values.loc[seed, ["value", "low", "high"]]
    return value, low, high


def never(limit: float):
    return censored({0: INF}, {0: limit})


def test_ratio_of_measured_numbers() -> None:
    assert row(ratio(exact({0: 3.0}), exact({0: 2.0}))) == (1.5, 1.5, 1.5)


def test_ratio_with_one_side_never_reached_is_bounded_by_the_limit() -> None:
    assert row(ratio(never(99), exact({0: 20.0}))) == (INF, 5.0, INF)
    value, low, high = row(ratio(exact({0: 20.0}), never(99)))
    assert (value, low, high) == (0.0, 0.0, 0.2)


def test_ratio_of_two_never_reached_is_unknown() -> None:
    value, low, high = row(ratio(never(99), never(99)))
    assert math.isnan(value)
    assert (low, high) == (0.0, INF)


def test_ratio_of_zeros_is_unknown() -> None:
    value, low, high = row(ratio(exact({0: 0.0}), exact({0: 0.0})))
    assert math.isnan(value)
    assert (low, high) == (0.0, INF)


def test_difference_with_an_unknown_number() -> None:
    value, low, high = row(difference(exact({0: 1.0}), exact({0: NAN})))
    assert math.isnan(value)
    assert (low, high) == (-INF, INF)


def test_difference_of_two_that_are_known_to_be_infinite() -> None:
    for ends in (INF, -INF):
        value, low, high = row(difference(exact({0: ends}), exact({0: ends})))
        assert math.isnan(value)
        assert (low, high) == (-INF, INF)


def test_pairs_are_the_common_seeds() -> None:
    found = ratio(exact({0: 1.0, 1: 2.0, 2: 3.0}), exact({2: 1.0, 1: 1.0, 5: 1.0}))
    assert list(found.values.index) == [1, 2]
    with pytest.raises(NotRunError, match="no seed in common"):
        ratio(exact({0: 1.0}), exact({1: 1.0}))


@pytest.mark.parametrize(
    ("x", "far", "near", "expected"),
    [
        (exact({0: 2.0}), exact({0: 5.0}), exact({0: 1.0}), (2.0, 2.0)),
        (exact({0: 2.0}), never(9), exact({0: 1.0}), (7.0, INF)),  # |2 − far| ≥ 8
        (exact({0: 2.0}), exact({0: 5.0}), never(9), (-INF, -5.0)),
        (never(9), exact({0: 5.0}), exact({0: 1.0}), (-4.0, -4.0)),  # near − far, whatever x is
        (never(9), never(9), exact({0: 1.0}), (-INF, INF)),
    ],
)
def test_closeness(x, far, near, expected: tuple[float, float]) -> None:
    assert row(closeness(x, far, near))[1:] == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (exact_ratio({0: 0.5}), (2.0, 2.0, 2.0)),
        (exact_ratio({0: 3.0}), (3.0, 3.0, 3.0)),
        (ratio(never(99), exact({0: 80.0})), (INF, 1.25, INF)),  # known to be above 1.25, and no more than that
        (ratio(exact({0: 80.0}), never(99)), (INF, 1.25, INF)),
        (ratio(never(99), exact({0: 120.0})), (INF, 1.0, INF)),  # 100/120 or more: equal is not excluded
        (exact_ratio({0: INF}), (INF, INF, INF)),  # diverged: rougher than any number
    ],
)
def test_a_ratio_is_as_far_from_1_as_its_bounds_say(found, expected: tuple[float, float, float]) -> None:
    assert row(away_from_one(found)) == pytest.approx(expected, rel=1e-12)
    value, low, high = row(away_from_one(exact_ratio({0: NAN})))
    assert math.isnan(value)
    assert (low, high) == (1.0, INF)


def test_the_largest_of_several_is_bounded_by_the_largest_bounds() -> None:
    open_ = ratio(never(99), exact({0: 80.0})).lacking("200 of 6,000 steps")
    found = largest([exact_ratio({0: 1.1, 1: 2.0}), open_])
    assert row(found) == (INF, 1.25, INF)
    assert (found.kind, found.lacks, found.seeds) == ("ratio", "200 of 6,000 steps", 1)
    with pytest.raises(NotRunError, match="no seed in common"):
        largest([exact_ratio({0: 1.0}), exact_ratio({1: 1.0})])


def test_no_interval_reaches_beyond_what_the_number_can_be() -> None:
    accuracies = {0: 0.1, 1: 0.1, 2: 0.9, 3: 0.95, 4: 0.99}
    assert exact(accuracies).interval(SPEC).high > 1.1  # t knows of no limit
    assert exact(accuracies, SHARE).interval(SPEC).high == 1.0
    assert exact({**accuracies, 4: NAN}, COSINE).lacking("steps").interval(SPEC).low == -1.0
    assert math.isnan(exact({0: 0.5}, SHARE).interval(SPEC).low)


def test_log_keeps_bounds() -> None:
    value, low, high = row(log(never(99)))
    assert value == INF
    assert low == pytest.approx(math.log(100))
    assert high == INF


def test_interval_reaches_from_the_lower_to_the_upper_bounds() -> None:
    some = censored({0: 10.0, 1: 20.0, 2: 30.0, 3: 40.0, 4: INF}, dict.fromkeys(range(5), 99.0))
    found = some.interval(SPEC)
    assert (found.estimate, found.low, found.high) == (30.0, 10.0, INF)
    # the low end comes from the lower bounds, which are finite: 100 for the seed that never got there
    assert censored(dict.fromkeys(range(5), INF), dict.fromkeys(range(5), 99.0)).interval(SPEC).low == 100.0


def test_an_unknown_seed_widens_the_interval() -> None:
    known = exact(dict.fromkeys(range(5), 1.0)).interval(SPEC)
    assert (known.low, known.high) == (1.0, 1.0)
    assert exact_ratio({0: NAN}).values.loc[0, "low"] == 0.0
    found = exact({0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: NAN}).interval(SPEC)
    assert (found.estimate, found.low, found.high) == (1.0, -INF, INF)


def test_ratios_are_compared_on_logarithms_and_differences_are_not() -> None:
    top, bottom = exact({0: 1.0, 1: 2.0, 2: 4.0, 3: 8.0, 4: 16.0}), exact(dict.fromkeys(range(5), 1.0))
    logs, plain = ratio(top, bottom).interval(SPEC), difference(top, bottom).interval(SPEC)
    assert logs.low * logs.high == pytest.approx(4.0**2, rel=1e-12)  # symmetric about 4 in logarithms
    assert plain.low + plain.high == pytest.approx(2 * 5.2, rel=1e-12)  # about the mean of the differences


def test_what_numbers_lack_goes_with_them() -> None:
    short = exact({0: 1.0}).lacking("200 of 6,000 steps")
    assert ratio(short, exact({0: 2.0})).lacks == "200 of 6,000 steps"
    assert difference(short, short).lacks == "200 of 6,000 steps"
    assert short.lacking("8 of 13 layers").lacks == "200 of 6,000 steps; 8 of 13 layers"
    assert short.lacking("").lacks == short.lacks


def test_shares_and_worst_cases() -> None:
    found = share({0: True, 1: True, 2: False, 3: True}).interval(SPEC)
    assert found.estimate == 0.75
    assert 0.25 < found.low < 0.75 < found.high < 1.0
    largest = worst({0: 1e-12, 1: 3e-3}).interval(SPEC)
    assert (largest.estimate, largest.low, largest.high, largest.decides) == (3e-3, 3e-3, 3e-3, True)
    assert math.isnan(worst({0: 1.0, 1: NAN}).interval(SPEC).estimate)
