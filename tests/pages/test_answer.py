"""The story: which question is answered by which claim, with which number, in which words."""

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


def test_every_sentence_is_of_the_part_that_decides_and_has_room_for_one_number() -> None:
    assert {name: part for name, (part, _) in SENTENCES.items()} == {
        name: found.primary for name, found in CLAIMS.items() if found.group != "theory"
    }
    assert all(text.count("{}") == 1 for _, text in SENTENCES.values())


def test_a_sentence_has_the_deciding_number_its_interval_and_the_paper_s() -> None:
    assert sentence(of_claim(1)) == (
        "To 90 % train accuracy the plain network takes 1.52 times the steps of BatchNorm "
        "([1.4, ∞], n = 3; paper 2.06)."
    )
    never = {"estimate": None, "interval": [None, None], "note": "estimate is infinite; high end is infinite"}
    assert "takes ∞ times the steps" in sentence(of_claim(1, **never))


def test_no_sentence_is_made_of_another_quantity_or_of_nothing() -> None:
    assert sentence(standing(claim(1, "01-training", "reproduced"))) == ""  # decided by another part
    assert sentence(of_claim(1, "not run", estimate=None, interval=[None, None], n_seeds=0, note="")) == ""
    undetermined = {"estimate": None, "interval": [None, None], "note": "estimate is undetermined"}
    assert sentence(of_claim(2, **undetermined)) == ""


def test_the_first_claim_of_a_question_leads() -> None:
    (one,) = answers([of_claim(10, "undecided"), of_claim(9, "direction only")])
    assert (one.question.paper, one.lead.id, [claim.id for claim in one.further]) == ("yes", "C9", ["C10"])
    assert one.sentence.startswith("Along its gradient the plain network's loss varies 1.52 times")
    assert answers([]) == []


def test_errata_are_said_in_words() -> None:
    (one,) = answers([standing(claim(18, "07-theory", "erratum", group="theory"))])
    assert one.sentence == "Each has counterexamples; the corrected forms hold."


def test_the_summary_counts_each_kind_apart() -> None:
    found = [of_claim(1), of_claim(2, "undecided"), of_claim(22, "no", group="own")]
    assert (
        summary(found) == "2 claims of the paper on networks: 1 reproduced, 1 undecided. 1 questions of our own: 1 no."
    )
    assert list(by_group(found)) == ["VGG on CIFAR-10", "This project's own questions"]
    unknown = standing(claim(7, "x", "no", group="later"))
    assert list(by_group([unknown, *found]))[-1] == "Later"  # none is left out whatever its group is called
