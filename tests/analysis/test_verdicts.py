import dataclasses

import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.estimates import NotRunError, exact
from normlab.analysis.rules import Claim, Condition, PaperValue, Part, Region, Rule
from normlab.analysis.verdicts import judge

PART = Part("a ratio", supported=Region(at_least=1.5), refuted=Region(at_most=1.1))


def claim(supported: Condition, refuted: Condition, *names: str) -> Claim:
    rule = Rule(5, supported, refuted)
    paper = PaperValue("§1", "2")
    return Claim(
        "C1",
        "s",
        paper,
        "q",
        "01-training.html",
        rule,
        {},
        {name: dataclasses.replace(PART, quantity=f"ratio {name}") for name in names},
    )


ALL = claim(Condition(all=("a", "b")), Condition(any=("a", "b")), "a", "b", "shown")


def spread(low: float, high: float, seeds: int = 5):
    step = (high - low) / (seeds - 1)
    return lambda: exact({seed: low + seed * step for seed in range(seeds)})


def missing():
    raise NotRunError("no cell with norm_layer noise")


YES, NO, OPEN = spread(2.0, 3.0), spread(0.9, 1.0), spread(1.0, 2.0)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (YES, YES, "supported"),
        (YES, NO, "refuted"),
        (YES, OPEN, "inconclusive"),
        (YES, missing, "inconclusive"),
        (NO, missing, "refuted"),
        (missing, missing, "not run"),
    ],
)
def test_parts_combine_as_the_rule_says(a, b, expected: str) -> None:
    assert judge(ALL, {"a": a, "b": b, "shown": NO}, SPEC)["verdict"] == expected


def test_a_part_that_the_rule_does_not_name_decides_nothing() -> None:
    entry = judge(ALL, {"a": YES, "b": YES, "shown": NO}, SPEC)
    assert entry["verdict"] == "supported"
    assert [(p["name"], p["decides"], p["verdict"]) for p in entry["parts"]] == [
        ("a", True, "supported"),
        ("b", True, "supported"),
        ("shown", False, "refuted"),
    ]


def test_a_condition_may_ask_for_another_verdict() -> None:
    far = claim(Condition(all=("a",)), Condition(all=("a", "b=supported")), "a", "b")
    assert judge(far, {"a": NO, "b": YES}, SPEC)["verdict"] == "refuted"
    assert judge(far, {"a": NO, "b": NO}, SPEC)["verdict"] == "inconclusive"


def test_contradicting_conditions_decide_nothing() -> None:
    both = claim(Condition(any=("a", "b")), Condition(any=("a", "b")), "a", "b")
    entry = judge(both, {"a": YES, "b": NO}, SPEC)
    assert entry["verdict"] == "inconclusive"
    assert "ratio a supported" in entry["reason"]
    assert "ratio b refuted" in entry["reason"]


def test_too_few_seeds_never_decide_however_clear() -> None:
    entry = judge(ALL, {"a": spread(9.0, 9.1, 4), "b": spread(9.0, 9.1, 4), "shown": YES}, SPEC)
    assert entry["verdict"] == "inconclusive"
    assert entry["reason"] == "4 of 5 seeds"
    assert entry["n_seeds"] == 4
    assert entry["interval"] == [9.0, 9.1]


def test_a_changed_threshold_changes_the_verdict_of_the_same_numbers() -> None:
    strict = Part("a ratio", supported=Region(at_least=4.0), refuted=Region(at_most=3.5))
    changed = dataclasses.replace(ALL, parts={**ALL.parts, "a": strict})
    numbers = {"a": YES, "b": YES, "shown": YES}
    assert judge(ALL, numbers, SPEC)["verdict"] == "supported"
    assert judge(changed, numbers, SPEC)["verdict"] == "refuted"


def test_the_entry_has_the_numbers_of_the_first_part_and_the_rule() -> None:
    entry = judge(ALL, {"a": YES, "b": OPEN, "shown": YES}, SPEC)
    assert (entry["estimate"], entry["interval"], entry["n_seeds"]) == (2.5, [2.0, 3.0], 5)
    assert entry["rule"]["min_seeds"] == 5
    assert entry["rule"]["parts"]["b"] == {"supported": {"at_least": 1.5}, "refuted": {"at_most": 1.1}}
    assert entry["parts"][0]["per_seed"] == {"0": 2.0, "1": 2.25, "2": 2.5, "3": 2.75, "4": 3.0}
    assert entry["reason"] == (
        "ratio b inconclusive: [1, 2] decides nothing (supported if at least 1.5; refuted if at most 1.1); "
        "ratio a supported: [2, 3] lies on the supporting side: at least 1.5"
    )  # first the part for which the claim has its verdict
