"""The random half of the theory study: what the paper's statements come to on random numbers."""

import pandas as pd
import pytest

from normlab.specs.theory import TheorySpec
from normlab.studies.statements.random_cases import measure_random_cases
from normlab.studies.statements.table import COLUMNS, Tally


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return measure_random_cases(TheorySpec(cases=30, samples=(4, 16), seeds=(0, 1)))


def fractions(table: pd.DataFrame, statement: str, quantity: str) -> pd.Series:
    rows = table[(table["statement"] == statement) & (table["quantity"] == quantity)]
    assert len(rows) == 4  # two sizes, two seeds
    assert rows["value"].isna().all()
    return rows["fraction"]


def test_columns_and_keys(table):
    assert tuple(table.columns) == COLUMNS
    assert set(table["source"]) == {"random"}
    assert set(zip(table["samples"], table["seed"], strict=True)) == {(m, seed) for m in (4, 16) for seed in (0, 1)}
    assert not table.duplicated([*COLUMNS[: COLUMNS.index("count")]]).any()


@pytest.mark.parametrize(
    "statement",
    [
        "theorem_4_1",
        "theorem_4_2",
        "theorem_4_4",
        "theorem_c_1",
        "observation_4_3",
        "observation_4_3_bias",
        "lemma_4_5",
    ],
)
def test_corrected_forms_always_hold(table, statement):
    assert (fractions(table, statement, "holds_corrected") == 1.0).all()


def test_relative_errors_are_rounding(table):
    errors = table[table["quantity"] == "relative_error"]
    assert len(errors) == 4 * 6
    assert errors["fraction"].isna().all()
    # equalities in float64; part (a) of 4.2 may cancel to a few digits less
    assert (errors["value"] < 1e-8).all()


def test_printed_forms(table):
    assert (fractions(table, "theorem_4_1", "holds_printed") == 0.0).all()
    assert (fractions(table, "observation_4_3", "holds_printed") == 0.0).all()
    assert (fractions(table, "observation_4_3_bias", "holds_printed") == 1.0).all()
    assert (fractions(table, "lemma_4_5", "holds_printed") == 1.0).all()
    assert (fractions(table, "lemma_4_5", "holds_printed_without_condition") == 0.0).all()
    assert (fractions(table, "theorem_c_1", "counterexample_exists") == 1.0).all()
    assert fractions(table, "theorem_4_4", "holds_printed").between(0.01, 0.99).all()  # depends on the units


def test_conditional_shares_count_the_cases_that_meet_the_condition(table):
    assert (fractions(table, "theorem_4_2", "part_b_holds_if_all_conditions") == 1.0).all()
    assert (fractions(table, "theorem_4_1", "v_at_most_g_if_gamma_at_most_sigma") == 1.0).all()
    wide = table.set_index(["samples", "seed", "statement", "quantity"]).sort_index()
    for m, seed in ((4, 0), (16, 1)):
        small = wide.loc[(m, seed, "theorem_4_1", "gamma_at_most_sigma")]
        condition = wide.loc[(m, seed, "theorem_4_1", "v_at_most_g_if_gamma_at_most_sigma")]
        assert small["count"] == 30
        assert condition["count"] == round(small["fraction"] * 30)


def test_the_same_numbers_again_and_other_seeds_alone(table):
    again = measure_random_cases(TheorySpec(cases=30, samples=(16,), seeds=(1,)))
    same = table[(table["samples"] == 16) & (table["seed"] == 1)].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, same, check_exact=True)


def test_a_condition_that_is_never_met_has_a_row_without_a_share():
    tally = Tally()
    tally.share("s", {"q": True}, given=False)
    tally.number("s", "n", 3.0)
    tally.number("s", "n", 5.0)
    tally.number("s", "top", 3.0, "max")
    rows = pd.DataFrame(tally.rows()).set_index("quantity")
    assert rows.loc["q", "count"] == 0
    assert pd.isna(rows.loc["q", "fraction"])
    assert rows.loc["n", "value"] == 4.0
    assert rows.loc["top", "value"] == 3.0
