import math
from pathlib import Path

import pytest
from tests.analysis.claims.judging import no_paper
from tests.analysis.synthetic import Kind, study

from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.rules import GROUPS, Claim, Region, load_claims
from normlab.analysis.statistics import Interval
from normlab.analysis.verdicts import judge_all
from normlab.specs.strict import InputError

MINIMAL = """
claims:
  - id: C6
    group: empirical
    statement: s
    paper: {where: w, value: v}
    quantity: q
    page: 01-training.html
    min_seeds: 3
    primary: final
    parts:
      final: {quantity: f, holds: {at_most: 0.15}, fails: {at_least: 0.5}}
"""

PARTS = MINIMAL.splitlines()[-1]


def write(folder: Path, text: str) -> Path:
    path = folder / "claims.yaml"
    path.write_text(text)
    return path


def test_the_packaged_claims_are_c1_to_c24_and_each_has_a_function() -> None:
    claims = load_claims()
    assert [claim.id for claim in claims] == [f"C{number}" for number in range(1, 25)]
    assert set(FUNCTIONS) == {claim.id for claim in claims}
    assert {claim.group for claim in claims} == set(GROUPS)


def test_measured_and_described_parts_and_settings_agree() -> None:
    # an empty study: no part can be measured, but every function names its parts
    entries = judge_all(load_claims(), FUNCTIONS, study({("group", 0.1): Kind()}, seeds=1), no_paper)
    assert len(entries) == 24
    assert {entry["verdict"] for entry in entries} <= {"not run", "undecided"}
    assert all(entry["reason"] for entry in entries)


@pytest.mark.parametrize("claim", load_claims(), ids=lambda claim: claim.id)
def test_a_primary_part_can_be_satisfied_and_failed_and_not_both(claim: Claim) -> None:
    """No rule that no honest data could satisfy or fail: each region holds some interval that the other does not."""
    part = claim.parts[claim.primary]
    numbers = (-1e9, -2.1, -1.1, -0.01, 0.01, 0.51, 0.71, 0.97, 1.01, 1.31, 2.1, 21.0, 51.0, 1e9)  # no threshold
    probes = [Interval(x, x, x) for x in numbers]
    holding = [part.holds.holds(probe) for probe in probes]  # type: ignore[union-attr]
    failing = [part.fails.holds(probe) for probe in probes]  # type: ignore[union-attr]
    assert any(holding)
    assert any(failing)
    assert not [probe.low for probe, h, f in zip(probes, holding, failing, strict=True) if h and f]


def test_a_minimal_file_loads(tmp_path: Path) -> None:
    (claim,) = load_claims(write(tmp_path, MINIMAL))
    assert claim.rule()["parts"] == {"final": {"holds": {"at_most": 0.15}, "fails": {"at_least": 0.5}}}
    assert claim.paper.figures == ()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("statement: s", "statment: s", "statment: unknown key"),
        ("    quantity: q\n", "", "quantity: missing"),
        ("min_seeds: 3", "min_seeds: three", "min_seeds: expected a whole number, got 'three'"),
        ("min_seeds: 3", "min_seeds: 0", "must be at least 1, got 0"),
        ("at_most: 0.15", "atmost: 0.15", "atmost: unknown key"),
        ("at_most: 0.15", "at_most: 0.15, below: 0.1", "exactly one of"),
        ("at_most: 0.15", "within: [2.0, 1.0]", "rising numbers"),
        ("at_most: 0.15", "beyond: [1.0]", "expected a pair of rising numbers, got [1.0]"),
        ("at_most: 0.15", "beyond: [1.0, 2.0, 3.0]", "expected a pair of rising numbers, got [1.0, 2.0, 3.0]"),
        ("{at_most: 0.15}", "{}", "exactly one of at_least, at_most, above, below, within, beyond, got none"),
        ("page:", "settings: [1]\n    page:", "settings: expected a mapping, got [1]"),
        ("      final: {quantity: f, holds: {at_most: 0.15}, fails: {at_least: 0.5}}", "      {}", "at least one part"),
        (
            "      final: {quantity: f, holds: {at_most: 0.15}, fails: {at_least: 0.5}}",
            "      [a]",
            "at least one part",
        ),
        ("id: C6", "id: C6a", "(C6a).id: expected C and a number, got 'C6a'"),
        ("primary: final", "primary: end", "no part 'end'; there are: final"),
        ("value: v}", "value: v, part: end}", "paper.part: no part 'end'"),
        ("value: v}", "value: v, figures: [one]}", "expected a whole number, got 'one'"),
        ("{quantity: f, holds: {at_most: 0.15}, ", "{quantity: f, ", "a rule has to be able to go either way"),
        (", fails: {at_least: 0.5}}", "}", "a rule has to be able to go either way"),
        ("group: empirical", "group: theorems", "accepted: empirical, deep linear, theory, own, got 'theorems'"),
        ("01-training.html", "training.html", "page: accepted"),
        ("id: C6", "id: six", "expected C and a number"),
        ("claims:", "claim:", "expected one key, claims"),
        ("    parts:\n      final: {quantity: f, holds: {at_most: 0.15}, fails: {at_least: 0.5}}\n", "", "parts"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in MINIMAL
    with pytest.raises(InputError, match=r"(?s)claims|region|rule") as caught:
        load_claims(write(tmp_path, MINIMAL.replace(before, after)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: {}\n", "claims.yaml: expected one key, claims, with a list, got claims"),
        ("claims: []\nmore: 1\n", "claims.yaml: expected one key, claims, with a list, got claims, more"),
        ("claims: [one]\n", "claims.yaml: claims[0]: expected a mapping, got 'one'"),
        ("claims: [{group: own}]\n", "claims.yaml: claims[0] (no id)"),
    ],
)
def test_a_file_without_claims_in_it_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_claims(write(tmp_path, text))
    assert str(caught.value).startswith(message)


def test_no_claims_and_claims_of_one_seed_are_allowed(tmp_path: Path) -> None:
    assert load_claims(write(tmp_path, "claims: []\n")) == []
    (claim,) = load_claims(write(tmp_path, MINIMAL.replace("min_seeds: 3", "min_seeds: 1")))
    assert claim.min_seeds == 1
    assert (claim.settings, claim.rule()["paper"]) == ({}, {"figures": [], "part": "final"})


@pytest.mark.parametrize(
    ("region", "text"),
    [
        (Region(at_least=1.5), "at least 1.5"),
        (Region(at_most=0.0), "at most 0"),
        (Region(above=-1.0), "above -1"),
        (Region(below=2.0), "below 2"),
        (Region(within=(0.5, 2.0)), "within 0.5 and 2"),
        (Region(beyond=(0.0, 1e-9)), "beyond 0 and 1e-09"),
    ],
)
def test_a_region_is_said_in_words(region: Region, text: str) -> None:
    assert str(region) == text


def test_a_claim_twice_is_refused(tmp_path: Path) -> None:
    twice = MINIMAL + MINIMAL.split("claims:\n")[1]
    with pytest.raises(InputError, match="C6: every claim may appear once"):
        load_claims(write(tmp_path, twice))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("id: C6", "id: C99", "C99: unknown claim"),
        ("page:", "settings: {accuracy: 0.9}\n    page:", "settings: expected none, got accuracy"),
        ("final", "end", "measured are final; described are end"),
    ],
)
def test_a_file_that_does_not_fit_the_functions_is_refused(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    claims = load_claims(write(tmp_path, MINIMAL.replace(before, after)))
    with pytest.raises(InputError) as caught:
        judge_all(claims, FUNCTIONS, study({("noise", 0.1): Kind()}, seeds=1), no_paper)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("region", "inside", "across"),
    [
        (Region(at_least=1.5), (1.5, math.inf), (1.4, 3.0)),
        (Region(above=1.5), (1.6, 3.0), (1.5, 3.0)),
        (Region(at_most=1.5), (-math.inf, 1.5), (1.0, 1.6)),
        (Region(below=1.5), (1.0, 1.4), (1.0, 1.5)),
        (Region(at_least=1.5), (1.6, 1.7), (-2.0, 1.5)),
        (Region(at_most=1.5), (1.0, 1.2), (1.5, 2.0)),
        (Region(within=(0.5, 2.0)), (0.5, 2.0), (0.4, 1.0)),
        (Region(within=(0.5, 2.0)), (0.6, 1.9), (1.0, 2.1)),
        (Region(within=(1.0, 1.0)), (1.0, 1.0), (1.0, 1.1)),
        (Region(within=(0.5, 2.0)), (0.5, 0.5), (3.0, 4.0)),
        (Region(beyond=(0.5, 2.0)), (2.1, 2.2), (0.6, 1.9)),
        (Region(beyond=(0.5, 2.0)), (-1.0, 0.4), (0.5, 2.0)),
        (Region(beyond=(0.5, 2.0)), (2.0, 9.0), (0.4, 2.5)),
        (Region(beyond=(0.5, 2.0)), (0.1, 0.5), (0.4, 0.6)),
    ],
)
def test_an_interval_lies_in_a_region_only_as_a_whole(
    region: Region, inside: tuple[float, float], across: tuple[float, float]
) -> None:
    assert region.holds(Interval(1.0, *inside))
    assert not region.holds(Interval(1.0, *across))
    assert not region.holds(Interval(1.0, math.nan, math.nan))
