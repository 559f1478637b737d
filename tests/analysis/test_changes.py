"""Rules are frozen: what changes one has to say so, and both verdicts are shown."""

import dataclasses
from pathlib import Path

import pytest
from tests.analysis.claims.judging import no_paper
from tests.analysis.synthetic import SPEC, Kind, study

from normlab.analysis.changes import before, digest, earlier_verdict, frozen, load_changes
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.estimates import exact
from normlab.analysis.parts import PartResult, judge_part
from normlab.analysis.rules import Claim, Part, Region, load_claims
from normlab.analysis.verdicts import judge_all
from normlab.specs.strict import InputError


@pytest.mark.parametrize("claim", load_claims(), ids=lambda claim: claim.id)
def test_every_rule_is_the_one_that_its_last_change_led_to(claim: Claim) -> None:
    """A rule that is changed needs an entry in rule_changes.yaml with its reason, the rule before and this digest."""
    (*_, last) = (change for change in load_changes() if change.claim == claim.id)
    assert last.digest == digest(claim), f"rule of {claim.id} changed: add an entry with digest {digest(claim)!r}"


def test_every_change_gives_a_reason_and_what_it_was_decided_on() -> None:
    for change in load_changes():
        assert change.what
        assert change.reason
        assert "our" not in change.decided_on.split()  # never on our own results


def test_a_digest_follows_all_that_decides_and_nothing_else() -> None:
    (claim,) = (one for one in load_claims() if one.id == "C9")
    assert digest(dataclasses.replace(claim, statement="other words", quantity="q")) == digest(claim)
    assert digest(dataclasses.replace(claim, min_seeds=4)) != digest(claim)
    assert digest(dataclasses.replace(claim, settings={**claim.settings, "steps": [1, 2]})) != digest(claim)
    part = dataclasses.replace(claim.parts["gradient"], holds=Region(at_least=1.9))
    assert digest(dataclasses.replace(claim, parts={**claim.parts, "gradient": part})) != digest(claim)


def test_the_verdicts_before_stand_beside_those_of_today() -> None:
    entries = judge_all(load_claims(), FUNCTIONS, study({("noise", 0.1): Kind(final=0.1)}), no_paper)
    assert all(entry["before"] for entry in entries)
    (noise,) = (entry for entry in entries if entry["id"] == "C6")
    assert noise["verdict"] == "reproduced"
    assert noise["before"][0]["verdict"] == "supported"
    assert noise["before"][0]["reason"]


PART = Part("a ratio")
RULE = {
    "min_seeds": 5,
    "supported": {"all": ["a", "b"]},
    "refuted": {"any": ["a", "b=supported"]},
    "parts": {
        "a": {"supported": {"at_least": 2.0}, "refuted": {"at_most": 1.0}},
        "b": {"supported": {"at_least": 2.0}},
    },
}


def result(low: float, high: float, seeds: int = 5) -> PartResult:
    return judge_part(PART, lambda: exact({s: low if s % 2 else high for s in range(seeds)}), 1, SPEC)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (result(0.5, 0.5), result(1.0, 1.0), "refuted"),
        (result(3.0, 3.0), result(1.0, 1.0), "inconclusive"),
        (result(3.0, 3.0), result(3.0, 3.0), "inconclusive"),  # both conditions hold: the first says all, the second b
        (result(0.5, 0.5, 4), result(1.0, 1.0, 4), "inconclusive"),  # four of five seeds
        (result(0.5, 0.5, 7), result(1.0, 1.0, 7), "refuted"),  # more than were asked for
        (result(1.0, 3.0), result(1.0, 1.0), "inconclusive"),
    ],
)
def test_an_earlier_rule_combines_its_parts_as_it_did(a: PartResult, b: PartResult, expected: str) -> None:
    assert earlier_verdict(RULE, {"a": a, "b": b}) == expected


def test_an_earlier_rule_whose_parts_are_gone_was_not_run() -> None:
    assert earlier_verdict(RULE, {"c": result(1.0, 1.0)}) == "not run"
    assert before(dataclasses.replace(load_claims()[0], id="C99"), {}) == []


def test_what_is_frozen_names_rules_claims_and_code() -> None:
    found = frozen(load_claims())
    assert set(found["rules"]) == {f"C{number}" for number in range(1, 25)}
    assert found["claims"].startswith("sha256:")
    assert found == frozen(load_claims())
    assert found["analysis"] != found["claims"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("changes: []\nmore: 1\n", "expected one key, changes"),
        ("changes: [{claim: C1}]\n", "the earlier rule under before"),
        ("changes: [{claim: C1, before: {min_seeds: 1}}]\n", "changes\\[0\\].date: missing"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rule_changes.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_changes(path)
