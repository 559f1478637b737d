"""Tables on cells whose numbers are chosen."""

import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.catalog import named
from normlab.analysis.cells import Cell
from normlab.pages.comparisons import comparison, fitted_sentence, ratio_table

STEPS = named(1)["steps_to_90_percent"]
TEST = named(1)["final_test_accuracy"]


def pair(none: Kind, batch: Kind, seeds: int = 5) -> list[Cell]:
    return study({("none", 0.1): none, ("batch", 0.1): batch}, seeds=seeds).compared()


def test_tables_have_a_column_a_normalizer_with_units_and_rules() -> None:
    cells = pair(Kind(reach=[2001, 1e9], final=[1.0, 0.1]), Kind(reach=1001), seeds=2)
    found = comparison(cells, [STEPS, named(1)["final_loss"]])
    assert found.plain.splitlines()[:4] == [
        "|  | none (plain) | BatchNorm |",
        "|---|---|---|",
        "| steps to 90 % (updates) | ∞ [2,001 – ∞] | 1,001 |",
        "| final loss (loss) | 0.411 | 0.411 |",
    ]
    assert "∞: never reached in the planned updates." in found.markup
    assert "∞: the run diverged" not in found.markup  # no run did
    assert comparison(cells, [named(1)["shift"]]).plain.splitlines()[2] == "| ‖G − G′‖ | 1 | 1 |"


def test_no_table_stands_where_nothing_was_run() -> None:
    assert comparison([], [STEPS]).markup == ""
    assert ratio_table(pair(Kind(), Kind()), [STEPS], ["l1"], under="batch").markup == ""


def test_ratios_of_layer_quantities_are_those_of_the_claims() -> None:
    cells = pair(Kind(move=6.0), Kind(move=2.0), seeds=2)
    table = ratio_table(cells, [named(1)["mean_abs_change"]], ["none", "l1"], under="batch")
    lines = table.plain.splitlines()[:3]
    assert lines == ["| ÷ BatchNorm | none (plain) |", "|---|---|", r"| \|Δμ\| | 3 |"]  # its bars end no cell


@pytest.mark.parametrize(
    ("reach", "words"),
    [
        ((1001, 2001, 3001), "from step 3,001 on in all 3 seeds"),
        ((3001,), "from step 3,001 on in 1 seed"),
        ((1001, 2001, 1e9), "from step 2,001 on in 2 of 3 seeds"),
    ],
)
def test_who_has_fitted_the_training_data_is_said_with_its_seeds(reach: tuple[float, ...], words: str) -> None:
    batch = Kind(reach=list(reach), final=[1.0 if value < 1e9 else 0.1 for value in reach])
    cells = pair(Kind(final=0.1), batch, seeds=len(reach))
    text = fitted_sentence(cells, STEPS)
    assert text.startswith(f"Train accuracy is at least 90 % for BatchNorm {words}: after that loss")
    assert "none (plain)" not in text
    assert fitted_sentence(cells[:1], STEPS) == ""
