import pytest
from tests.pages.study import CLAIMS, claim

from normlab.pages import verdicts

NO_INTERVAL = "low end is undetermined; high end is undetermined"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.06361, "0.0636"), (999.4, "999"), (999.6, "1,000"), (7468, "7,468"), (-6834.2, "-6,834"), (2e6, "2e6")],
)
def test_thousands_have_all_their_digits(value: float, text: str) -> None:
    assert verdicts.number(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 seed"), (5, "5 seeds"), ("1 to 5", "1 to 5 seeds"), ("0 of 1", "0 of 1 seed"), ("1 of 3", "1 of 3 seeds")],
)
def test_one_seed_is_no_plural(count: int | str, text: str) -> None:
    assert verdicts.of_seeds(count) == text


def test_text_is_escaped() -> None:
    markup = verdicts.cards(CLAIMS, "90 %")._repr_html_()
    assert "a &lt; b &amp; c" in markup
    assert "a < b" not in markup


def test_a_card_has_the_anchor_the_numbers_and_every_part() -> None:
    markup = verdicts.cards(CLAIMS[:1], "90 %")._repr_html_()
    assert 'id="C1"' in markup
    assert "1.52 [1.4, ∞], n = 3<br>" in markup.replace("\u00a0", " ")
    assert "ratio of steps" in markup
    assert "1600 against 3300" in markup
    assert "all measured parts (1)" in markup


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"estimate": None, "interval": [None, None], "n_seeds": 0, "note": ""}, "–"),
        ({"estimate": 2e6, "interval": [1.9e6, 2.1e6], "n_seeds": 10, "note": ""}, "2e6 [1.9e6, 2.1e6], n = 10"),
        ({"estimate": None, "interval": [3.0, None], "n_seeds": 2, "note": "x"}, "– [3, –], n = 2 (x)"),
        ({"estimate": 2.3, "interval": [None, None], "n_seeds": 1, "note": NO_INTERVAL}, "2.3, n = 1"),
        ({"estimate": 2.3, "interval": [None, None], "n_seeds": 2, "note": NO_INTERVAL}, f"2.3, n = 2 ({NO_INTERVAL})"),
    ],
)
def test_measured_numbers(numbers: dict, text: str) -> None:
    assert verdicts.measured(numbers).replace("\u00a0", " ") == text


def test_every_seed_is_shown_beside_the_median_and_the_interval() -> None:
    entry = claim(1, "01-training", "undecided")
    assert verdicts.seed_by_seed(entry) == ""  # nothing was measured
    entry["parts"][0]["per_seed"] = {"0": 3.4, "1": 3.75, "2": None}
    assert verdicts.seed_by_seed(entry) == "3.4, 3.75, –"
    assert "<dt>Seed by seed</dt><dd>3.4, 3.75, –" in verdicts.cards([entry], "95 %")._repr_html_()
    entry["parts"][0]["per_seed"] = {str(seed): 1.0 for seed in range(100)}
    assert verdicts.seed_by_seed(entry) == ""  # a figure's work
    entry["parts"][0]["per_seed"] = {"0": 0.3, "1": 0.4}
    assert verdicts.seed_by_seed({**entry, "group": "theory"}) == ""  # counterexamples are no sample


def test_verdicts_are_words_not_only_colors() -> None:
    assert ">refuted<" in verdicts.badge("refuted")
    assert 'class="badge not-run"' in verdicts.badge("not run")


def test_a_card_shows_the_papers_own_curve_direction_size_checks_and_the_verdict_before() -> None:
    assert verdicts.beside(CLAIMS[0]) == (
        "the paper's own curve: 2.06, passes; claimed direction: 2 of 3 seeds; size: 0.74 × the paper's; "
        "checks: own rates fails"
    )
    assert verdicts.beside({"id": "C1"}) == ""


def test_a_page_without_claims_says_so() -> None:
    assert "No claim" in verdicts.cards([], "90 %")._repr_html_()
    assert "none on this page" in verdicts.verdict_line([])._repr_html_()
    assert '<a href="#C9">C9</a>' in verdicts.verdict_line([claim(9, "x", "refuted")])._repr_html_()


def test_the_level_of_the_intervals_is_the_one_that_is_given() -> None:
    markup = verdicts.cards(CLAIMS, "90 %")._repr_html_()
    assert "90 % interval" in markup
    assert "95 %" not in markup


def test_parts_say_what_they_are_for_and_what_the_paper_has() -> None:
    parts = [
        {**CLAIMS[0]["parts"][0], "role": role, "paper": paper}
        for role, paper in (("primary", 2.06), ("check", None), ("control", 0.5))
    ]
    markup = verdicts.cards([{**CLAIMS[0], "parts": parts}], "90 %")._repr_html_()
    places = [markup.index(f"({words})") for words in ("decides", "check for an artefact", "control")]
    assert places == sorted(places)
    assert "<td>2.06</td>" in markup
    assert "<td>–</td>" in markup


def test_a_card_has_the_rule_before_with_its_verdict_and_why_it_was_changed() -> None:
    markup = verdicts.cards(CLAIMS[:1], "90 %")._repr_html_()
    assert "before: refuted" in markup.partition("</h3>")[0]
    assert "until 2026-11-26: refuted; one part decides, because four had to agree; decided on Figure 1" in markup
    assert "Rule before" not in verdicts.cards([{**CLAIMS[0], "before": []}], "90 %")._repr_html_()
