"""Sentences and tables on cells whose numbers are chosen: what is said follows the interval, not the median."""

from dataclasses import replace

import pytest
from tests.analysis.synthetic import SPEC, Kind, study

from normlab.analysis.catalog import Quantity, named
from normlab.analysis.cells import Cell
from normlab.pages.comparisons import comparison, fitted_sentence, ratio_table, sentence

STEPS = named(1)["steps_to_90_percent"]
TEST = named(1)["final_test_accuracy"]


def pair(none: Kind, batch: Kind, seeds: int = 5) -> list[Cell]:
    return study({("none", 0.1): none, ("batch", 0.1): batch}, seeds=seeds).compared()


def said(none: Kind, batch: Kind, quantity: Quantity = STEPS, seeds: int = 5, **settings: float) -> str:
    return sentence(quantity, pair(none, batch, seeds), SPEC, **settings)


def test_ratios_are_paired_by_seed() -> None:
    text = said(Kind(reach=[2001, 6001, 8001]), Kind(reach=[1001, 2001, 4001]), seeds=3)
    assert text == "Steps to 90 %: none (plain) ÷ BatchNorm = 2 [2 – 3], larger for none (plain) in 3 of 3 seeds."


def test_a_median_near_one_is_about_equal_only_if_its_interval_is() -> None:
    wide = said(Kind(reach=[1501, 3101, 4801, 6001, 7901]), Kind(reach=[4801, 5001, 5001, 5001, 5001]))
    assert (
        "= 0.96 [0.313 – 1.58], undecided: the t-interval of logarithms [0.37, 1.78], coverage 95 %, does not" in wide
    )
    assert "about equal" not in wide
    narrow = said(Kind(reach=[4801, 4901, 5001, 5101, 5201]), Kind(reach=5001))
    assert narrow.endswith("about equal.")


def test_a_median_far_from_one_says_nothing_where_its_interval_reaches_across() -> None:
    text = said(Kind(reach=[2001, 6001, 6201, 6401, 6601]), Kind(reach=3001))
    assert "undecided" in text
    assert "(larger for none (plain) in 4 of 5 seeds)" in text
    less = said(Kind(reach=[2001, 2101, 2201, 2301, 2401]), Kind(reach=3001))
    assert "smaller for none (plain) in 5 of 5 seeds." in less


def test_one_seed_has_no_interval() -> None:
    assert "larger for none (plain) in the one seed that was run." in said(Kind(reach=6001), Kind(reach=2001), seeds=1)


def test_runs_that_never_get_there_are_compared_by_what_is_known() -> None:
    never = Kind(final=0.1)
    assert "= ∞, larger for none (plain) in 5 of 5 seeds." in said(never, Kind(reach=4001))
    assert "defined in none of 5 seeds." in said(never, never)
    assert "noisy BatchNorm and BatchNorm were not both measured" in sentence(
        STEPS, pair(Kind(), Kind()), SPEC, over="noisy_batch"
    )


def test_signed_values_are_compared_by_difference() -> None:
    signed = replace(TEST, label="cosine", signed=True)
    text = said(Kind(test=[0.9, 0.8, 0.7, 0.8, 0.9]), Kind(test=0.1), signed)
    assert "Cosine: none (plain) − BatchNorm = 0.7 [0.6 – 0.8], higher for none (plain) in 5 of 5 seeds." in text
    zero = said(Kind(test=[0.52, 0.48, 0.5, 0.5, 0.51]), Kind(test=0.5), signed)
    assert zero.endswith("about equal.")


def test_the_level_is_that_of_the_analysis() -> None:
    cells = pair(Kind(reach=[2001, 2501, 6201, 6401, 6601]), Kind(reach=3001))
    assert "coverage 99 %" in sentence(STEPS, cells, replace(SPEC, confidence=0.99))


def test_two_seeds_are_counted_and_decide_nothing() -> None:
    text = said(Kind(reach=[6001, 6101]), Kind(reach=2001), seeds=2)
    assert text.endswith("larger for none (plain) in 2 of 2 seeds, too few to decide.")


def test_tables_have_a_column_a_normalizer_with_units_and_rules() -> None:
    cells = pair(Kind(reach=[2001, 1e9], final=[1.0, 0.1]), Kind(reach=1001), seeds=2)
    found = comparison(cells, [STEPS, named(1)["final_loss"]])
    assert found.plain.splitlines() == [
        " | none (plain) | BatchNorm",
        "steps to 90 % (updates) | ∞ [2e3 – ∞] | 1e3",
        "final loss (loss) | 0.411 | 0.411",
    ]
    assert "∞: never reached in the planned updates." in found.markup
    assert "∞: the run diverged" not in found.markup  # no run did
    assert comparison(cells, [named(1)["shift"]]).plain.splitlines()[1] == "‖G − G′‖ | 1 | 1"


def test_no_table_stands_where_nothing_was_run() -> None:
    assert comparison([], [STEPS]).markup == ""
    assert ratio_table(pair(Kind(), Kind()), [STEPS], ["l1"], under="batch").markup == ""


def test_ratios_of_layer_quantities_are_those_of_the_claims() -> None:
    cells = pair(Kind(move=6.0), Kind(move=2.0), seeds=2)
    table = ratio_table(cells, [named(1)["mean_abs_change"]], ["none", "l1"], under="batch")
    assert table.plain.splitlines() == ["÷ BatchNorm | none (plain)", "|Δμ| | 3"]


@pytest.mark.parametrize(
    ("reach", "words"),
    [
        ((1001, 2001, 3001), "from step 3001 on in all 3 seeds"),
        ((1001, 2001, 1e9), "from step 2001 on in 2 of 3 seeds"),
    ],
)
def test_who_has_fitted_the_training_data_is_said_with_its_seeds(reach: tuple[float, ...], words: str) -> None:
    batch = Kind(reach=list(reach), final=[1.0 if value < 1e9 else 0.1 for value in reach])
    cells = pair(Kind(final=0.1), batch, seeds=3)
    text = fitted_sentence(cells, STEPS)
    assert text.startswith(f"Train accuracy is at least 90 % for BatchNorm {words}: after that loss")
    assert "none (plain)" not in text
    assert fitted_sentence(cells[:1], STEPS) == ""
