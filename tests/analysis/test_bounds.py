"""Numbers that are only known between bounds: what is made of two of them lies between the bounds that are given for
it, and these are as close as all that the two can be."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.estimates import (
    PerSeed,
    away_from_one,
    censored,
    closeness,
    difference,
    exact,
    exact_ratio,
    largest,
    log,
    ratio,
    scaled,
    share,
    worst,
)

INF, NAN = math.inf, math.nan
Row = tuple[float, float, float]  # value, low, high


def of(*rows: Row, kind: Any = "number") -> PerSeed:
    return PerSeed(pd.DataFrame(rows, columns=["value", "low", "high"]), kind)


def rows(found: PerSeed) -> list[Row]:
    assert list(found.values.columns) == ["value", "low", "high"]
    return [tuple(row) for row in found.values.itertuples(index=False)]  # type: ignore[misc]


def same(found: PerSeed, *expected: Row) -> bool:
    return all(
        (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b, rel=1e-12)
        for one, other in zip(rows(found), expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


ROWS: list[Row] = [(2.0, 2.0, 2.0), (3.0, 1.5, 4.0), (INF, 5.0, INF), (0.5, 0.0, 0.5), (NAN, 0.25, 8.0)]


def between(row: Row) -> list[float]:
    """Numbers that one can be, its ends among them."""
    low, high = row[1], min(row[2], 1e6)
    return [low + (high - low) * share for share in (0.0, 0.25, 0.5, 1.0)]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(ROWS, ROWS)))
def test_all_that_a_ratio_and_a_difference_can_be(a: Row, b: Row) -> None:
    cases: list[tuple[Callable[..., PerSeed], Callable[[float, float], float]]] = [
        (ratio, lambda x, y: x / y if y else (INF if x else NAN)),
        (difference, lambda x, y: x - y),
    ]
    for combine, plain in cases:
        [(value, low, high)] = rows(combine(of(a), of(b)))
        reached = [plain(x, y) for x in between(a) for y in between(b)]
        reached = [number for number in reached if not math.isnan(number)]
        assert all(low <= number <= high for number in reached)
        assert min(reached) == pytest.approx(low, rel=1e-4, abs=1e-4) or (low == -INF and b[2] == INF)
        assert max(reached) == pytest.approx(high, rel=1e-4, abs=1e-4) or (high == INF and (a[2] == INF or b[1] == 0))
        if math.isfinite(a[0]) and math.isfinite(b[0]):
            assert value == pytest.approx(plain(a[0], b[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (difference(exact({0: 5.0}), exact({0: 3.0})), (2.0, 2.0, 2.0)),
        (difference(exact({0: INF}), exact({0: INF})), (NAN, -INF, INF)),
        (difference(exact({0: -INF}), exact({0: INF})), (-INF, -INF, -INF)),
        (ratio(exact({0: NAN}), exact({0: 2.0})), (NAN, 0.0, INF)),
        (ratio(exact({0: 3.0}), exact({0: NAN})), (NAN, 0.0, INF)),
        (ratio(exact({0: INF}), exact({0: INF})), (NAN, 0.0, INF)),
        (away_from_one(of((1.2, 0.5, 2.0))), (1.2, 1.0, 2.0)),
        (away_from_one(of((0.8, 0.25, 2.0))), (1.25, 1.0, 4.0)),
        (away_from_one(of((2.0, 1.0, 3.0))), (2.0, 1.0, 3.0)),
        (away_from_one(of((0.5, 0.25, 1.0))), (2.0, 1.0, 4.0)),
        (away_from_one(of((0.5, 0.25, 0.8))), (2.0, 1.25, 4.0)),
        (away_from_one(exact_ratio({0: 0.0})), (INF, INF, INF)),
        (scaled(of((2.0, 1.0, INF)), 3.0), (6.0, 3.0, INF)),
        (scaled(of((2.0, 1.0, 4.0)), 0.25), (0.5, 0.25, 1.0)),
        (log(of((math.e, 0.0, INF))), (1.0, -INF, INF)),
        (exact({0: NAN}, (0.0, 1.0)), (NAN, 0.0, 1.0)),
        (exact_ratio({0: -0.5}), (-0.5, 0.0, -0.5)),
        (censored({0: INF}, {0: 9}), (INF, 10.0, INF)),
        (censored({0: 4.0}, {0: 9}), (4.0, 4.0, 4.0)),
        (share({0: True}), (1.0, 1.0, 1.0)),
        (worst({0: 0.25}), (0.25, 0.25, 0.25)),
    ],
)
def test_bounds_by_hand(found: PerSeed, expected: Row) -> None:
    assert same(found, expected)


def test_kinds_and_limits_and_seeds_in_their_order() -> None:
    made = (exact({1: 1.0, 0: 2.0}), exact_ratio({1: 1.0, 0: 2.0}), share({1: True, 0: False}), worst({1: 1, 0: 2}))
    assert [one.kind for one in made] == ["number", "ratio", "share", "worst"]
    assert all(list(one.values.index) == [0, 1] for one in made)
    assert [one.limits for one in made] == [(-INF, INF)] * 4
    assert list(censored({1: 1.0, 0: 2.0}, {0: 9.0, 1: 9.0}).values.index) == [0, 1]
    a = of((2.0, 1.0, 4.0)).lacking("a")
    assert [found.kind for found in (ratio(a, a), difference(a, a), away_from_one(a), largest([a]))] == [
        *("ratio", "number", "ratio", "ratio")
    ]
    assert away_from_one(a).lacks == largest([a, a]).lacks == "a"
    assert largest([a, a.lacking("b")]).lacks == "a; a; b"


def test_of_several_the_largest_is_unknown_if_one_of_them_is() -> None:
    open_, known = of((NAN, 1.0, 9.0), (1.0, 1.0, 1.0)), of((2.0, 2.0, 2.0), (3.0, 2.5, 4.0))
    assert same(largest([open_, known]), (NAN, 2.0, 9.0), (3.0, 2.5, 4.0))
    assert same(largest([known, open_]), (NAN, 2.0, 9.0), (3.0, 2.5, 4.0))


NEVER, UNKNOWN = (INF, 10.0, INF), (NAN, 0.0, 10.0)


@pytest.mark.parametrize(
    ("x", "far", "near", "expected"),
    [
        ((2.0, 2.0, 2.0), (5.0, 5.0, 5.0), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0)),
        ((6.0, 6.0, 6.0), (5.0, 5.0, 5.0), (1.0, 1.0, 1.0), (-4.0, -4.0, -4.0)),
        ((2.0, 2.0, 2.0), NEVER, (1.0, 1.0, 1.0), (NAN, 7.0, INF)),
        ((2.0, 2.0, 2.0), (5.0, 5.0, 5.0), NEVER, (NAN, -INF, -5.0)),
        (NEVER, (5.0, 5.0, 5.0), (1.0, 1.0, 1.0), (-4.0, -4.0, -4.0)),
        (NEVER, NEVER, (1.0, 1.0, 1.0), (NAN, -INF, INF)),
        (NEVER, (5.0, 5.0, 5.0), NEVER, (NAN, -INF, INF)),
        ((2.0, 2.0, 2.0), NEVER, NEVER, (NAN, -INF, INF)),
        (NEVER, NEVER, NEVER, (NAN, -INF, INF)),
    ],
)
def test_which_of_two_a_number_is_closer_to(x: Row, far: Row, near: Row, expected: Row) -> None:
    assert same(closeness(of(x), of(far), of(near)), expected)


def test_a_statement_about_all_cases_has_no_interval_but_its_worst_case() -> None:
    found = worst({0: 0.1, 1: 0.4, 2: 0.2}).interval(SPEC)
    assert (found.estimate, found.low, found.high) == (0.4, 0.4, 0.4)
    assert (found.method, found.coverage) == ("all cases, no statistic", 1.0)
    assert worst({0: 0.1, 1: 0.4}).seeds == 2
