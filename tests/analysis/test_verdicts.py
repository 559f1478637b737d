import dataclasses
import math

import pytest
from tests.analysis.claims.judging import no_paper
from tests.analysis.synthetic import SPEC, Kind, study

from normlab.analysis.estimates import NotRunError, PerSeed, exact
from normlab.analysis.parts import judge_part
from normlab.analysis.rules import Claim, PaperSource, Part, Region, load_claims
from normlab.analysis.statistics import Interval
from normlab.analysis.verdicts import entry, judge_all, magnitude, same_sign, verdict_counts
from normlab.specs.strict import InputError

PRIMARY = Part("a ratio", holds=Region(at_least=1.5), fails=Region(at_most=1.1), direction=Region(above=1.0))
CHECK = Part("the same at equal steps", holds=Region(above=1.0), fails=Region(at_most=1.0), check=True)
CONTROL = Part("another number")


def claim(group: str = "empirical", **further: Part) -> Claim:
    parts = {"check": CHECK, "main": PRIMARY, "control": CONTROL, **further}
    source = PaperSource("§1", "2", (1,))
    return Claim("C1", group, "s", source, "q", "01-training.html", 5, "main", settings={}, parts=parts)


def spread(low: float, high: float, seeds: int = 5) -> PerSeed:
    return exact({seed: low + seed * (high - low) / (seeds - 1) for seed in range(seeds)})


def missing() -> PerSeed:
    raise NotRunError("no cell with norm_layer noise")


def judged(ours: PerSeed | None, paper: float | None = 2.0, group: str = "empirical", check: float = 2.0) -> dict:
    """The entry of a claim whose primary part has these numbers here and in the paper."""
    one = claim(group)
    measures = {"main": (lambda: ours) if ours is not None else missing, "control": missing}
    measures["check"] = lambda: spread(check, check + 0.1)
    point = None if paper is None else Interval(paper, paper, paper)
    papers = {"main": point, "check": None, "control": None}
    results = {name: judge_part(part, measures[name], 5, SPEC, papers[name]) for name, part in one.parts.items()}
    return entry(one, results)


YES, NO, DIRECTED, WEAK = spread(2.0, 3.0), spread(0.8, 0.9), spread(1.2, 1.7), spread(1.05, 1.08)
OPEN = spread(0.5, 2.0)


@pytest.mark.parametrize(
    ("ours", "paper", "expected"),
    [
        (YES, 2.0, "reproduced"),
        (DIRECTED, 2.0, "direction only"),
        (WEAK, 2.0, "direction only"),
        (NO, 2.0, "not reproduced here"),
        (OPEN, 2.0, "undecided"),
        (None, 2.0, "not run"),
        # the paper's own curve does not pass: whatever is measured here, its text is not what it shows
        (YES, 1.2, "contradicted by the paper's own data"),
        (NO, 1.2, "contradicted by the paper's own data"),
        (None, 0.5, "contradicted by the paper's own data"),
        # made in words alone: the words are its result
        (YES, None, "reproduced"),
        (NO, None, "not reproduced here"),
    ],
)
def test_the_primary_part_and_the_papers_own_number_decide(
    ours: PerSeed | None, paper: float | None, expected: str
) -> None:
    assert judged(ours, paper)["verdict"] == expected


@pytest.mark.parametrize(("ours", "expected"), [(YES, "yes"), (NO, "no"), (WEAK, "no"), (OPEN, "undecided")])
def test_an_own_question_is_answered_whatever_the_papers_curve_shows(ours: PerSeed, expected: str) -> None:
    found = judged(ours, 0.5, "own")
    assert found["verdict"] == expected
    assert found["paper"]["number"] == 0.5
    assert found["paper"]["passes"] is None


@pytest.mark.parametrize(
    ("ours", "check", "expected"), [(YES, 2.0, "reproduced"), (NO, 2.0, "erratum"), (NO, 0.5, "undecided")]
)
def test_a_false_statement_is_an_erratum_beside_a_verified_correction_only(
    ours: PerSeed, check: float, expected: str
) -> None:
    found = judged(ours, None, "theory", check)
    assert found["verdict"] == expected
    if expected == "undecided":
        assert "not verified: the same at equal steps" in found["reason"]


def test_checks_and_controls_are_shown_and_decide_nothing() -> None:
    found = judged(YES, check=0.5)
    assert found["verdict"] == "reproduced"
    assert found["artefacts"] == {"check": "fails"}
    roles = [(part["name"], part["role"], part["verdict"]) for part in found["parts"]]
    assert roles == [("main", "primary", "holds"), ("check", "check", "fails"), ("control", "control", "not run")]


def test_direction_and_size_have_their_own_columns() -> None:
    found = judged(NO)
    assert found["direction"] == {"claimed": 0, "seeds": 5, "holds": False}
    assert found["magnitude"] == {"ours_over_paper": pytest.approx(0.425), "within_2": False}
    assert judged(DIRECTED)["direction"] == {"claimed": 5, "seeds": 5, "holds": True}
    assert (found["paper"]["number"], found["paper"]["passes"]) == (2.0, True)


def test_the_size_beside_the_papers_is_null_without_both_numbers_of_one_sign() -> None:
    assert magnitude(3.0, 2.0) == {"ours_over_paper": 1.5, "within_2": True}
    # twice and half are of one size, of negative numbers too
    within = {(4.0, 2.0): True, (4.1, 2.0): False, (1.0, 2.0): True, (0.9, 2.0): False, (-4.0, -2.0): True}
    assert {pair: magnitude(*pair)["within_2"] for pair in within} == within
    for ours, paper in ((math.inf, 2.0), (2.0, math.inf), (2.0, math.nan), (math.nan, 2.0), (-1.0, 2.0), (1.0, 0.0)):
        assert magnitude(ours, paper) == {"ours_over_paper": None, "within_2": None}


def test_the_reason_names_both_numbers_where_the_paper_contradicts_itself() -> None:
    reason = judged(spread(0.9, 0.9), 1.2)["reason"]
    assert reason == "the paper's own curve gives 1.2, its text needs at least 1.5; here 0.9"


@pytest.mark.parametrize(
    ("ours", "reason"),
    [
        (DIRECTED, "[1.2, 1.7] is above 1; whether it is at least 1.5 is open"),
        (WEAK, "[1.05, 1.08] is above 1, and not at least 1.5"),
        (spread(1.2, 1.4), "[1.2, 1.4] is above 1, and not at least 1.5"),
    ],
)
def test_an_effect_of_the_claimed_sign_is_called_small_only_where_it_is(ours: PerSeed, reason: str) -> None:
    found = judged(ours)
    assert found["verdict"] == "direction only"
    assert found["reason"].partition("is above")[2] == reason.partition("is above")[2]


def test_one_number_of_all_seeds_has_no_seeds_that_point_anywhere() -> None:
    """A rank correlation across cells: no seed has a direction, so `0 of 5 seeds` would be false."""

    class Rho:
        seeds = 5

        def interval(self, spec: object) -> Interval:
            return Interval(0.9, 0.8, 0.95, "bootstrap", 0.95)

    results = {name: judge_part(part, Rho, 5, SPEC) for name, part in claim().parts.items()}
    assert entry(claim(), results)["direction"]["seeds"] == 0


def test_size_compares_like_with_like() -> None:
    """Where the paper's curves have another part than the one that decides, ours of that part stands beside it."""
    one = dataclasses.replace(claim(), paper=PaperSource("§1", "2", (1,), part="check"))
    measures = {"main": lambda: spread(1.2, 1.2), "check": lambda: spread(90.0, 90.0), "control": missing}
    results = {name: judge_part(part, measures[name], 5, SPEC) for name, part in one.parts.items()}
    results["check"] = dataclasses.replace(results["check"], paper=Interval(100.0, 100.0, 100.0))
    assert entry(one, results)["magnitude"] == {"ours_over_paper": pytest.approx(0.9), "within_2": True}


def test_the_papers_number_may_come_from_another_part() -> None:
    one = dataclasses.replace(claim(), paper=PaperSource("§1", "2", (1,), part="check"))
    results = {name: judge_part(part, lambda: NO, 5, SPEC) for name, part in one.parts.items()}
    results["check"] = dataclasses.replace(results["check"], paper=Interval(1.2, 1.2, 1.2))
    found = entry(one, results)
    assert (found["paper"]["part"], found["paper"]["number"], found["paper"]["passes"]) == ("check", 1.2, False)
    assert found["verdict"] == "contradicted by the paper's own data"
    assert found["reason"].startswith("the paper's own curve gives 1.2 (the same at equal steps), its text needs")


def test_a_changed_threshold_changes_the_verdict_of_the_same_numbers() -> None:
    strict = dataclasses.replace(PRIMARY, holds=Region(at_least=4.0), fails=Region(at_most=3.5))
    one = claim(main=strict)
    results = {name: judge_part(part, lambda: YES, 5, SPEC) for name, part in one.parts.items()}
    assert entry(one, results)["verdict"] == "direction only"


def test_every_entry_says_what_it_was_measured_on() -> None:
    claims = [
        claim(),
        dataclasses.replace(claim("theory"), id="C2"),
        dataclasses.replace(claim("deep linear"), id="C3"),
    ]
    functions = dict.fromkeys(
        ("C1", "C2", "C3"), lambda cells: dict.fromkeys(("check", "main", "control"), lambda: YES)
    )
    found = judge_all(claims, functions, study({("none", 0.1): Kind()}, seeds=1), no_paper)
    assert [one["scope"] for one in found] == [
        "vgg11, rate 0.1, 15,000 updates",
        "random numbers in float64, and trained networks",
        "not run",
    ]


def test_another_record_has_the_same_sign_or_not_or_no_number() -> None:
    claim = next(claim for claim in load_claims() if claim.id == "C1")
    part = {"name": claim.primary, "quantity": claim.parts[claim.primary].quantity, "estimate": 1.2}
    old = {"id": "C1", "parts": [part]}  # scored under the first rules
    assert same_sign(claim, [old]) is True
    assert same_sign(claim, [{**old, "parts": [{**part, "estimate": 0.9}]}]) is False
    assert same_sign(claim, [{**old, "parts": [{**part, "estimate": None}]}]) is None
    assert same_sign(claim, [{**old, "parts": [{**part, "quantity": "of another definition"}]}]) is None
    assert same_sign(claim, [{**old, "id": "C2"}]) is None


def test_a_claim_without_a_direction_has_the_sign_of_the_side_that_holds() -> None:
    sides: tuple[dict[str, None], ...] = ({}, {"direction": None}, {"direction": None, "holds": None})
    found = []
    for changed in sides:
        one = dataclasses.replace(claim(), parts={"main": dataclasses.replace(PRIMARY, **changed)})
        numbers = [{"name": "main", "quantity": "a ratio", "estimate": number} for number in (1.2, 9.0)]
        other = {"id": "C1", "parts": [{"name": "check", "quantity": "a ratio", "estimate": 9.0}]}
        found.append(same_sign(one, [other, {"id": "C1", "parts": numbers}]))  # the first one counts
    assert found == [True, False, None]


def test_settings_and_parts_have_to_be_those_of_the_function() -> None:
    cells = study({("none", 0.1): Kind()}, seeds=1)

    def measures(cells: object, *, accuracy: float) -> dict:
        return dict.fromkeys(("check", "main", "control"), lambda: spread(accuracy, accuracy))

    one = dataclasses.replace(claim(), settings={"accuracy": 2.0})
    assert [found["estimate"] for found in judge_all([one], {"C1": measures}, cells, no_paper)] == [2.0]
    assert judge_all([], {"C1": measures}, cells, no_paper) == []
    with pytest.raises(InputError, match=r"^claims\.yaml: C1\.settings: expected accuracy, got none$"):
        judge_all([claim()], {"C1": measures}, cells, no_paper)
    with pytest.raises(InputError, match=r"^claims\.yaml: C1: unknown claim; there are: C2$"):
        judge_all([one], {"C2": measures}, cells, no_paper)
    fewer = dataclasses.replace(one, parts={"main": PRIMARY})
    with pytest.raises(InputError, match=r"C1\.parts: measured are check, main, control; described are main$"):
        judge_all([fewer], {"C1": measures}, cells, no_paper)


def test_a_claim_about_the_deep_linear_network_was_measured_at_its_rate() -> None:
    cells = study({("none", 0.1): Kind()}, {("none", 1e-6): Kind()}, seeds=1)
    functions = {"C1": lambda cells: dict.fromkeys(("check", "main", "control"), lambda: YES)}
    (found,) = judge_all([claim("deep linear")], functions, cells, no_paper)
    assert found["scope"] == "dln, rate 1e-06, 10,000 updates"


def test_each_group_has_its_own_tally() -> None:
    entries = [{"group": "theory", "verdict": "erratum"}, {"group": "own", "verdict": "no"}]
    assert verdict_counts([*entries, entries[0]]) == {"theory": {"erratum": 2}, "own": {"no": 1}}
