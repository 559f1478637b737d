"""The story: which question is answered by which claim, with which number, in which words."""

import pytest
from tests.pages.study import claim

from normlab.analysis.rules import load_claims
from normlab.pages.answer import QUESTIONS, SENTENCES, answers, by_group, sentence, summary
from normlab.pages.standings import Standing, standing

CLAIMS = {found.id: found for found in load_claims()}


def of_claim(number: int, verdict: str = "reproduced", **further: object) -> Standing:
    """Where a claim stands that was decided by its own primary part."""
    entry = claim(number, "01-training", verdict, **further)
    entry["parts"][0]["name"] = CLAIMS[f"C{number}"].primary
    return standing(entry)


def test_every_claim_answers_one_question() -> None:
    named = [name for question in QUESTIONS for name in question.claims]
    assert sorted(named) == sorted(CLAIMS)
    assert not [
        question.text for question in QUESTIONS if "because" in question.text
    ]  # no claim of C9's kind shows why


def test_every_sentence_is_of_the_part_that_decides_and_has_room_for_one_number() -> None:
    assert {name: part for name, (part, _) in SENTENCES.items()} == {
        name: found.primary for name, found in CLAIMS.items() if found.group != "theory"
    }
    assert all(text.count("{}") == 1 for _, text in SENTENCES.values())


INFINITE = {"estimate": None, "note": "estimate is infinite; high end is infinite"}


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"interval": [1.4, 1.6], "note": ""}, "takes 1.4 to 1.6 times the steps of BatchNorm (median 1.52, n = 3;"),
        ({}, "takes at least 1.4 times the steps of BatchNorm (median 1.52, n = 3;"),  # no high end is known
        ({"interval": [5.17, None], **INFINITE}, "takes at least 5.17 times the steps of BatchNorm (median ∞, n = 3;"),
        ({"interval": [1.52, 1.52], "note": ""}, "takes 1.52 times the steps of BatchNorm (n = 3;"),
        ({"interval": [None, None], "note": "", "n_seeds": 1}, "takes 1.52 times the steps of BatchNorm (n = 1;"),
    ],
)
def test_a_sentence_says_the_interval_and_names_the_median(numbers: dict, said: str) -> None:
    """`1.45 times as far` of [0.92, 1.52] would be a finding that other seeds may turn round."""
    assert sentence(of_claim(1, **numbers)) == f"To 90 % train accuracy the plain network {said} paper 2.06)."


def test_a_sentence_names_what_the_paper_s_number_is_of_where_that_is_not_what_decides() -> None:
    entry = claim(7, "03-covariate-shift", "undecided", interval=[0.9, 1.5], note="")
    entry["parts"][0]["name"] = CLAIMS["C7"].primary
    entry["parts"].append({"name": "other", "quantity": "at equal accuracy"})
    entry["paper"] = {**entry["paper"], "part": "other"}
    assert sentence(standing(entry)).endswith("(median 1.52, n = 3; paper 2.06 of at equal accuracy).")


def test_an_interval_that_excludes_nothing_makes_no_sentence() -> None:
    assert sentence(of_claim(7, interval=[0.0, None])) == ""
    nothing = {"interval": [None, None], "note": "low end is minus infinity; high end is infinite"}
    assert sentence(of_claim(4, **nothing)) == ""
    assert "plain by at most 0.3 (" in sentence(of_claim(4, interval=[None, 0.3], note="low end is minus infinity"))


def test_no_sentence_is_made_of_another_quantity_or_of_nothing() -> None:
    assert sentence(standing(claim(1, "01-training", "reproduced"))) == ""  # decided by another part
    assert sentence(of_claim(1, "not run", estimate=None, interval=[None, None], n_seeds=0, note="")) == ""
    undetermined = {"estimate": None, "interval": [None, None], "note": "estimate is undetermined"}
    assert sentence(of_claim(2, **undetermined)) == ""


def test_the_first_claim_of_a_question_leads() -> None:
    (one,) = answers([of_claim(10, "undecided"), of_claim(9, "direction only")])
    assert (one.question.paper, one.lead.id, [claim.id for claim in one.further]) == ("yes", "C9", ["C10"])
    assert one.sentence.startswith("Along its gradient the plain network's loss varies at least 1.4 times")
    assert answers([]) == []


def test_errata_are_said_in_words() -> None:
    (one,) = answers([standing(claim(18, "07-theory", "erratum", group="theory"))])
    assert one.sentence == "Statement 18 as printed: counterexamples; corrected: none."


def test_the_summary_counts_each_kind_apart() -> None:
    found = [of_claim(1), of_claim(2, "undecided"), of_claim(22, "no", group="own")]
    assert (
        summary(found) == "2 claims of the paper on networks: 1 reproduced, 1 undecided. 1 questions of our own: 1 no."
    )
    assert list(by_group(found)) == ["VGG on CIFAR-10", "This project's own questions"]
    unknown = standing(claim(7, "x", "no", group="later"))
    assert list(by_group([unknown, *found]))[-1] == "Later"  # none is left out whatever its group is called
