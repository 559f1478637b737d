import math

import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.estimates import NotRunError, PerSeed, TooFewError, exact, exact_ratio
from normlab.analysis.parts import PartResult, finite, judge_part, shown
from normlab.analysis.rules import Part, Region
from normlab.analysis.statistics import Interval

PART = Part("a ratio", holds=Region(at_least=1.5), fails=Region(at_most=1.1), direction=Region(above=1.0))


def spread(low: float, high: float, seeds: int = 5) -> PerSeed:
    """Seeds evenly between two numbers, as a plain number: the t-interval at five of them is a little narrower."""
    return exact({seed: low + seed * (high - low) / (seeds - 1) for seed in range(seeds)})


@pytest.mark.parametrize(
    ("low", "high", "verdict", "directed"),
    [
        (2.0, 3.0, "holds", True),
        (0.9, 1.0, "fails", False),
        (1.05, 1.08, "fails", True),
        (1.2, 1.7, "undecided", True),
        (0.5, 2.0, "undecided", False),
    ],
)
def test_a_part_holds_or_fails_with_its_whole_interval(low: float, high: float, verdict: str, directed: bool) -> None:
    found = judge_part(PART, lambda: spread(low, high), 5, SPEC)
    assert found.verdict == verdict
    assert found.directed is directed
    assert found.enough


def test_how_many_seeds_point_the_claimed_way_is_counted() -> None:
    found = judge_part(PART, lambda: exact({0: 0.9, 1: 1.2, 2: 2.0, 3: 3.0, 4: math.nan}), 5, SPEC)
    assert (found.signed, found.seeds) == (3, 5)  # the unknown one is not counted


def test_too_few_seeds_never_decide_however_clear() -> None:
    found = judge_part(PART, lambda: spread(9.0, 9.1, 4), 5, SPEC)
    assert (found.verdict, found.reason, found.enough, found.directed) == ("undecided", "4 of 5 seeds", False, False)
    assert found.as_dict()["n_seeds"] == 4


def test_runs_that_lack_something_never_decide_however_clear() -> None:
    found = judge_part(PART, lambda: spread(9.0, 9.1).lacking("8 of 13 normalized layers"), 5, SPEC)
    assert (found.verdict, found.reason) == ("undecided", "8 of 13 normalized layers")
    assert found.interval.low > 8.9  # the numbers are shown all the same


def test_a_range_of_three_seeds_does_not_decide_and_t_of_three_may() -> None:
    never = judge_part(PART, lambda: exact_ratio({0: 9.0, 1: 9.1, 2: math.inf}), 3, SPEC)
    assert (never.verdict, never.reason) == ("undecided", "range: covers too little to decide")
    assert judge_part(PART, lambda: exact_ratio({0: 9.0, 1: 9.1, 2: 9.2}), 3, SPEC).verdict == "holds"


def test_one_diverged_seed_of_five_leaves_its_side_open() -> None:
    """Rougher than any number: it can support "rougher", and never "smoother"."""
    rough = judge_part(PART, lambda: exact_ratio({0: 2.0, 1: 2.1, 2: 2.2, 3: 2.3, 4: math.inf}), 5, SPEC)
    assert rough.verdict == "holds"
    assert rough.numbers()["note"] == "high end is infinite"
    smooth = judge_part(PART, lambda: exact_ratio({0: 0.5, 1: 0.5, 2: 0.6, 3: 0.6, 4: math.inf}), 5, SPEC)
    assert smooth.verdict == "undecided"


def test_a_reason_writes_infinite_ends_as_the_tables_do() -> None:
    found = judge_part(PART, lambda: exact_ratio({0: 1.0, 1: 1.0, 2: 2.0, 3: 2.0, 4: math.inf}), 5, SPEC)
    assert found.reason.startswith("[1, ∞] decides nothing")


def test_what_was_not_run_says_why() -> None:
    def missing() -> PerSeed:
        raise NotRunError("no cell with norm_layer noise")

    def few() -> PerSeed:
        raise TooFewError("3 of 5 cells")

    assert judge_part(PART, missing, 5, SPEC).reason == "no cell with norm_layer noise"
    assert (judge_part(PART, few, 5, SPEC).verdict, judge_part(PART, few, 5, SPEC).reason) == (
        "undecided",
        "3 of 5 cells",
    )


def test_a_part_without_a_threshold_is_shown_and_decides_nothing() -> None:
    found = judge_part(Part("a number"), lambda: spread(1.0, 2.0), 5, SPEC)
    assert "no threshold" in found.reason
    assert found.directed is None


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("interval", "seeds", "numbers", "note"),
    [
        (Interval(2.0, 1.0, 3.0), 5, (2.0, [1.0, 3.0]), ""),
        (Interval(0.0, -0.5, 0.0), 5, (0.0, [-0.5, 0.0]), ""),
        (Interval(INF, 1.0, INF), 5, (None, [1.0, None]), "estimate is infinite; high end is infinite"),
        (Interval(1.0, -INF, INF), 5, (1.0, [None, None]), "low end is minus infinity; high end is infinite"),
        (Interval(NAN, -INF, 1.0), 1, (None, [None, 1.0]), "estimate is undetermined; low end is minus infinity"),
        (Interval(NAN, NAN, NAN), 0, (None, [None, None]), ""),  # nothing was run: nothing is undetermined
        (Interval(1 / 3, 2 / 3, 123456789012.0), 2, (0.3333333333, [0.6666666667, 123456789000.0]), ""),
    ],
)
def test_numbers_for_a_file_say_what_json_cannot(
    interval: Interval, seeds: int, numbers: tuple[float | None, list[float | None]], note: str
) -> None:
    found = PartResult(PART, "undecided", "", interval, seeds).numbers()
    assert (found["estimate"], found["interval"]) == numbers
    assert (found["note"], found["n_seeds"]) == (note, seeds)
    assert [finite(value) for value in (INF, -INF, NAN, 0.0)] == [None, None, None, 0.0]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.0, 1.0, "1"),
        (1.0, 2.0, "[1, 2]"),
        (-INF, INF, "[−∞, ∞]"),
        (INF, INF, "∞"),
        (0.12345, 1e-12, "[0.123, 1e-12]"),
    ],
)
def test_an_interval_without_a_width_is_a_number(low: float, high: float, text: str) -> None:
    assert shown(Interval(low, low, high)) == text


@pytest.mark.parametrize(("seeds", "verdict"), [(4, "undecided"), (5, "holds"), (6, "holds"), (9, "holds")])
def test_seeds_beyond_those_asked_for_are_welcome(seeds: int, verdict: str) -> None:
    found = judge_part(PART, lambda: spread(9.0, 9.1, seeds), 5, SPEC)
    assert (found.verdict, found.seeds, found.signed) == (verdict, seeds, seeds)


def test_without_a_claimed_direction_seeds_are_counted_on_the_side_that_holds() -> None:
    part = Part("a ratio", holds=Region(at_least=1.5))
    found = judge_part(part, lambda: exact({0: 1.4, 1: 1.5, 2: 2.0}), 3, SPEC)
    assert (found.signed, found.directed) == (2, None)
    assert found.as_dict()["claimed_direction"] == 2
    assert found.as_dict()["per_seed"] == {"0": 1.4, "1": 1.5, "2": 2.0}
    nothing = judge_part(Part("a number"), lambda: exact({0: 1.4, 1: 1.5}), 3, SPEC)
    assert (nothing.signed, nothing.reason) == (0, "2 of 3 seeds")
