import math

import pandas as pd
import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import NotRunError
from normlab.analysis.shares import failures, shares, shares_of_all


def row(source: str, step: int, samples: int, quantity: str, count: int, fraction: float, rate: float = 0.1) -> tuple:
    statement = "lemma_4_5" if math.isnan(fraction) else "theorem_4_1"
    return source, "vgg11", "batch", rate, "", 0, step, "", samples, statement, quantity, count, fraction, math.nan


COLUMNS = [
    "source", "network", "norm_layer", "learning_rate", "variant", "seed", "step", "layer", "samples", "statement",
    "quantity", "count", "fraction", "value",
]  # fmt: skip
TABLE = pd.DataFrame(
    [
        row("random", 0, 4, "holds_printed", 10, 0.1),
        row("random", 0, 16, "holds_printed", 30, 0.0),
        row("random", 0, 4, "holds_corrected", 40, 1.0),
        row("random", 0, 4, "holds_printed", 0, math.nan),
        row("checkpoint", 0, 64, "gamma_at_most_sigma", 4, 0.5),
        row("checkpoint", 9, 64, "gamma_at_most_sigma", 4, 0.75),
        row("checkpoint", 9, 64, "gamma_at_most_sigma", 4, 0.0, rate=0.5),
    ],
    columns=COLUMNS,
)
CELLS = Cells(pd.DataFrame({"variant": []}), TABLE, SPEC)


def test_shares_weigh_rows_by_their_cases() -> None:
    found = shares_of_all(CELLS, "random").set_index(["statement", "quantity"])
    assert found.loc[("theorem_4_1", "holds_printed"), "share"] == 1 / 40
    assert found.loc[("theorem_4_1", "holds_printed"), "failures"] == 39
    assert found.loc[("theorem_4_1", "holds_printed"), ["low", "high"]].tolist() == [0.0, 0.1]
    assert "lemma_4_5" not in found.index  # no case, so no share


def test_the_claims_share_and_the_figure_s_are_one_number() -> None:
    claimed = shares(CELLS, "random", "theorem_4_1", "holds_printed").loc[0]
    drawn = shares_of_all(CELLS, "random").set_index("quantity").loc["holds_printed", "share"]
    assert claimed == drawn
    assert failures(CELLS, "theorem_4_1", "holds_printed").values["value"].loc[0] == 1 - drawn


def test_checkpoints_count_at_the_rate_that_is_compared() -> None:
    found = shares_of_all(CELLS, "checkpoint").set_index("step")["share"]
    assert found.to_dict() == {0: 0.5, 9: 0.75}
    assert shares(CELLS, "checkpoint", "theorem_4_1", "gamma_at_most_sigma").loc[0] == 0.625


def test_a_study_that_was_not_run_is_an_empty_table() -> None:
    empty = Cells(pd.DataFrame({"variant": []}), pd.DataFrame(), SPEC)
    assert shares_of_all(empty, "random").empty
    with pytest.raises(NotRunError, match="theory was not run"):
        shares(empty, "random", "theorem_4_1", "holds_printed")


def test_every_case_counts_and_rows_without_one_are_no_rows() -> None:
    table = pd.DataFrame(
        [
            row("random", 0, 4, "one", 1, 1.0),
            row("random", 0, 8, "one", 3, 0.0),
            row("random", 0, 4, "none", 0, 0.5),
            row("checkpoint", 3, 4, "one", 1, 0.0),
        ],
        columns=COLUMNS,
    )
    random = table["source"] == "random"  # drawn numbers are of no network
    table = table.assign(network=table["network"].where(~random, ""), learning_rate=table["learning_rate"].mask(random))
    cells = Cells(pd.DataFrame({"variant": []}), table, SPEC)
    assert shares(cells, "random", "theorem_4_1", "one").to_dict() == {0: 0.25}
    assert shares(cells, "checkpoint", "theorem_4_1", "one").to_dict() == {0: 0.0}
    assert shares_of_all(cells, "random")["quantity"].tolist() == ["one"]
    assert shares_of_all(cells, "random")[["cases", "failures", "share", "low", "high"]].to_numpy().tolist() == [
        [4.0, 3.0, 0.25, 0.0, 1.0]
    ]
    assert failures(cells, "theorem_4_1", "one").values.loc[0].tolist() == [0.75] * 3
    for quantity in ("none", "two"):
        with pytest.raises(NotRunError, match=rf"^no case of theorem_4_1, {quantity} \(random\)$"):
            shares(cells, "random", "theorem_4_1", quantity)


def test_of_a_summary_the_largest_value_of_each_seed_counts() -> None:
    values = [(0, 1e-13), (0, 3e-13), (1, 2e-13), (1, -1.0)]
    table = pd.DataFrame([row("random", 0, 4, "relative_error", 5, 1.0) for _ in values], columns=COLUMNS)
    table = table.assign(seed=[seed for seed, _ in values], value=[value for _, value in values])
    cells = Cells(pd.DataFrame({"variant": []}), table, SPEC)
    found = shares(cells, "random", "theorem_4_1", "relative_error", "value")
    assert found.to_dict() == {0: 3e-13, 1: 2e-13}
