"""Where claims stand: of entries under the present rules, and of a record that was scored under the first ones."""

import pytest
from tests.analysis.synthetic import SPEC
from tests.pages.study import claim

from normlab.analysis.rules import load_claims
from normlab.pages.claims_table import claims_table
from normlab.pages.standings import beside_others, counts_in_words, earlier_standing, standing, standings
from normlab.pages.story import claims_tables

CLAIMS = {found.id: found for found in load_claims()}


def old(name: str, verdict: str, **parts: str) -> dict:
    """An entry of a record under the first rules, with verdicts of its parts."""
    numbers = {"estimate": 3.5, "interval": [3.4, 3.75], "n_seeds": 5, "note": ""}
    described = [{"name": part, "quantity": part, "verdict": word, **numbers} for part, word in parts.items()]
    return {"id": name, "rules": "first rules", "verdict": verdict, "parts": described, **numbers}


def test_an_entry_in_few_words() -> None:
    one = standing(claim(1, "01-training", "reproduced"))
    assert (one.paper, one.here, one.direction) == ("2.06, passes", "1.52 [1.4, ∞], n = 3", "2 of 3")
    assert (one.size, one.checks, one.verdict, one.before) == ("0.74 ×", "0 of 1 hold", "reproduced", "refuted")


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (("holds", "fails"), "1 of 2 hold"),
        (("holds", "fails", "undecided", "not run"), "1 of 4 hold, 1 undecided, 1 not run"),
        (("not run", "not run"), "–"),  # "0 of 2 hold" would say that they failed
        (("undecided",), "1 undecided"),
    ],
)
def test_a_check_that_was_not_made_is_neither_held_nor_failed(results: tuple[str, ...], said: str) -> None:
    entry = claim(1, "01-training", "undecided", artefacts={str(i): word for i, word in enumerate(results)})
    assert standing(entry).checks == said


def test_a_counterexample_has_no_direction() -> None:
    assert standing(claim(18, "07-theory", "erratum", group="theory")).direction == "–"


def test_what_was_not_measured_is_a_dash() -> None:
    nothing = {"estimate": None, "interval": [None, None], "n_seeds": 0, "note": ""}
    entry = claim(
        6,
        "01-training",
        "not run",
        **nothing,
        paper={"where": "", "value": "", "number": None, "passes": None},
        direction={"claimed": 0, "seeds": 0, "holds": None},
        magnitude={"ours_over_paper": None, "within_2": None},
        artefacts={},
        before=[],
    )
    one = standing(entry)
    assert {one.paper, one.here, one.direction, one.size, one.checks, one.before} == {"–"}


def test_the_paper_s_number_of_another_part_is_named() -> None:
    part = {"name": "tap", "quantity": "after the normalizer"}
    entry = claim(3, "04-activations", "undecided")
    entry["parts"].append(part)
    entry["paper"] = {"number": 97.4, "passes": False, "part": "tap"}
    assert standing(entry).paper == "97.4, fails (after the normalizer)"


def test_an_old_verdict_stands_beside_what_the_paper_s_curve_says() -> None:
    contradicted = earlier_standing(old("C10", "refuted", gradient="refuted"), CLAIMS["C10"], SPEC)
    assert contradicted.verdict == "contradicted by the paper's own data"
    assert contradicted.paper == "2.51, fails"
    assert contradicted.before == "refuted"
    assert contradicted.here == "3.5 [3.4, 3.75], n = 5: gradient"  # as it was defined then
    open_ = earlier_standing(old("C1", "inconclusive", speed="supported"), CLAIMS["C1"], SPEC)
    assert (open_.verdict, open_.before) == ("not scored anew", "inconclusive")


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ({"printed": "refuted", "corrected": "supported", "corrected_error": "supported"}, "erratum"),
        ({"printed": "refuted", "corrected": "refuted", "corrected_error": "supported"}, "not scored anew"),
        ({"printed": "refuted"}, "not scored anew"),
        ({"printed": "supported", "corrected": "supported", "corrected_error": "supported"}, "not scored anew"),
    ],
)
def test_a_statement_is_an_erratum_if_its_corrected_form_was_verified(parts: dict, verdict: str) -> None:
    assert earlier_standing(old("C18", "refuted", **parts), CLAIMS["C18"], SPEC).verdict == verdict


def test_entries_of_both_kinds_keep_their_order() -> None:
    entries = [claim(4, "01-training", "undecided"), old("C18", "refuted", printed="refuted")]
    found = standings(entries, list(CLAIMS.values()), SPEC)
    assert [one.id for one in found] == ["C4", "C18"]
    assert counts_in_words(found) == "1 undecided, 1 not scored anew"
    assert [one.id for one in standings(entries, [], None)] == ["C4"]


def test_a_claim_stands_beside_the_other_records_that_have_its_number() -> None:
    speed = CLAIMS["C1"].parts["speed"].quantity
    same, other = old("C1", "supported", speed="supported"), old("C1", "refuted", speed="refuted")
    for entry, estimate in ((same, 3.5), (other, 0.5)):
        entry["parts"][0] |= {"quantity": speed, "estimate": estimate}
    without = old("C1", "inconclusive", elsewhere="supported")
    entries = [claim(1, "01-training", "reproduced"), claim(18, "07-theory", "erratum", group="theory")]
    found = standings(entries, [], None)
    placed = beside_others(found, list(CLAIMS.values()), [[same], [other], [without]])
    assert [one.elsewhere for one in placed] == ["1 of 2", "–"]
    assert "| same sign |" in claims_table(placed, "")[2]
    assert "same sign in 1 of 2 other records" in claims_tables(placed)
    assert "same sign" not in " ".join(claims_table(found, ""))
