"""The first page: the story of a record, and the pictures of a check."""

import re
from dataclasses import replace

from tests.pages.study import CLAIMS, claim

from normlab.pages.standings import standing, standings
from normlab.pages.story import check, claims_tables, story, too_few_seeds

FOUND = standings(CLAIMS, [], None)


def with_rule(seeds: int, needed: int, **further: object) -> dict:
    return claim(1, "01-training", "undecided", n_seeds=seeds, rule={"min_seeds": needed}, **further)


def test_fewer_seeds_than_any_rule_asks_for_are_a_check() -> None:
    assert too_few_seeds([with_rule(2, 3), with_rule(1, 5)]) == "2 seeds a cell, where the rules ask for 3 or more"
    assert too_few_seeds([with_rule(3, 3), with_rule(1, 5)]) == ""
    assert (
        too_few_seeds([with_rule(9, 3, group="theory"), with_rule(2, 3)]) != ""
    )  # other studies have seeds of their own
    assert too_few_seeds([with_rule(0, 3)]) == ""  # not a check: nothing of these networks was measured
    assert too_few_seeds([with_rule(0, 3), with_rule(2, 3)]) != ""
    assert too_few_seeds([]) == ""
    assert too_few_seeds([{"id": "C1", "n_seeds": 1}]) == ""  # scored under the first rules: no groups


def test_the_story_opens_with_the_questions_before_the_picture() -> None:
    markup = story(FOUND, ["<figure></figure>"], "tiny < small")
    assert markup.index("Does BatchNorm train faster?") < markup.index("<figure>")
    assert "measured again: tiny &lt; small" in markup
    assert 'class="badge reproduced"' in markup
    assert '<a href="01-training.html#C1">C1</a>' in markup
    assert '<a href="#C1">C1</a>' in story(FOUND, [], "", "#{id}")


def test_what_was_not_run_is_no_part_of_the_story() -> None:
    found = [standing(claim(1, "01-training", "reproduced")), standing(claim(2, "01-training", "not run"))]
    assert "C2" not in story(found, [], "").partition("</ol>")[0]


def test_an_unfinished_record_says_first_what_is_here_and_what_is_not() -> None:
    found = [standing(claim(9, "02-landscape", "not run")), standing(claim(1, "01-training", "undecided"))]
    markup = story(found, ["<figure></figure>"], "Small.", unfinished="1 of 2 are here. Not run yet: vgg < 16.")
    assert "<strong>1 of 2 are here.</strong> Not run yet: vgg &lt; 16.</p>" in markup
    assert markup.index("1 of 2 are here") < markup.index("Small.") < markup.index("<figure>")
    assert markup.count('class="question"') == 1  # no card for what nothing is known of
    assert "answers it has no number: Is the loss smoother along the gradient?</p>" in markup
    assert "notice" not in story(found, [], "Small.")


def test_claims_that_were_not_run_are_a_line_and_no_rows() -> None:
    found = [standing(claim(9, "02-landscape", "not run")), standing(claim(1, "01-training", "undecided"))]
    markup = claims_tables(found)
    assert re.findall(r'<tr><th scope="row"><a href="[^"]*">(C\d+)', markup) == ["C1"]
    assert '<p>Not run: <a href="02-landscape.html#C9">C9</a> Statement 9: a &lt; b &amp; c.</p>' in markup
    assert "<table" not in claims_tables(found[:1])


def test_undecided_without_a_number_is_a_line_too_and_a_page_that_is_not_there_is_no_link() -> None:
    nothing = replace(standing(claim(23, "05-normalizers", "undecided", group="own")), here="–", page="")
    assert "<table" not in claims_tables([nothing])
    assert "Undecided, without a number: C23 Statement 23" in claims_tables([nothing])
    asked = claims_tables([replace(nothing, statement="Does it?")])
    assert "Undecided, without a number: C23 Does it?</p>" in asked


def test_a_check_shows_pictures_first_and_no_table() -> None:
    markup = check(FOUND, "2 seeds a cell, where the rules ask for 3 or more", ["<figure>1</figure>"], "Textures.")
    assert "A check of the pipeline, not a result" in markup
    assert "<table" not in markup
    assert "badge" not in markup
    assert markup.index("<figure>") < markup.index("undecided" if "undecided" in markup else "Too little")
    named = set(re.findall(r">(C\d+)</a>", markup))
    assert named == {entry["id"] for entry in CLAIMS}  # no claim is left out


def test_the_tables_leave_no_claim_out_and_have_the_number_beside_the_verdict() -> None:
    found = standings([*CLAIMS, claim(22, "07-theory", "no", group="own")], [], None)
    markup = claims_tables(found)
    assert re.findall(r"<h2 [^>]*>(.*?)</h2>", markup) == ["VGG on CIFAR-10", "This project&#x27;s own questions"]
    for one in found:
        assert f'<a href="{one.page}#{one.id}">{one.id}</a>' in markup
    row = markup.partition(">C1</a>")[2].partition("</tr>")[0]
    assert "<strong>1.52 [1.4, ∞], n = 3</strong>" in row
    assert "before: refuted" in row
    assert "a &lt; b &amp; c" in row
