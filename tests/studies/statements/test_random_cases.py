"""The random half of the theory study: what the paper's statements come to on random numbers."""

import math
from collections import defaultdict
from typing import Any

import pandas as pd
import pytest
import torch

from normlab.seeding import generator
from normlab.specs.theory import TheorySpec
from normlab.studies.statements.random_cases import measure_random_cases
from normlab.studies.statements.table import COLUMNS, Tally
from normlab.theory import lemma_4_5, observation_4_3, theorem_4_1, theorem_4_2, theorem_4_4, theorem_c_1


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


def written_out(m: int, seed: int, cases: int) -> dict[tuple[str, str], list[Any]]:
    """The cases of one size and seed, drawn and judged one by one: (statement, quantity) → what each came to."""
    draws, found = generator(seed, "theory", m), defaultdict(list)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=draws)

    for case in range(cases):
        a, b, gamma, lam = (math.exp(value) for value in normal(4).tolist())
        y = b * normal(m) + a
        g = normal(m) + normal(1) * (y - y.mean()) / b
        root = normal(m, m)
        H = root @ root.T / m if case % 2 == 0 else (root + root.T) / 2
        X, w, w_star = normal(m, m // 2 + 1), normal(m // 2 + 1), normal(m // 2 + 1)
        ones = torch.cat([torch.ones(m, 1, dtype=torch.float64), X[:, 1:]], dim=1)
        results = {
            "theorem_4_1": theorem_4_1(y, g, gamma),
            "theorem_4_2": theorem_4_2(y, g, H, gamma),
            "theorem_4_4": theorem_4_4(y, g, gamma, lam),
            "theorem_c_1": theorem_c_1(y, g, H, gamma, lam),
            "observation_4_3": observation_4_3(X, w, g),
            "observation_4_3_bias": observation_4_3(ones, w, g),
            "lemma_4_5": lemma_4_5(w, w_star),
        }
        for name, result in results.items():
            found[name, "holds_corrected"].append(result.holds_corrected)
            if name != "lemma_4_5":
                found[name, "holds_printed"].append(result.holds_printed)
            if name != "observation_4_3_bias":
                size = max(abs(result.lhs), abs(result.rhs_corrected))
                found[name, "relative_error"].append(abs(result.lhs - result.rhs_corrected) / size)
        first, second, fourth, last, *_, lemma = results.values()
        sigma, shorter = y.std(unbiased=False).item(), bool(first.v.norm() <= g.norm())
        found["theorem_4_1", "gamma_at_most_sigma"].append(gamma <= sigma)
        found["theorem_4_1", "v_at_most_g"].append(shorter)
        found["theorem_4_1", "v_at_most_g_if_gamma_at_most_sigma"] += [shorter] * (gamma <= sigma)
        found["theorem_4_4", "holds_printed_as_norm"].append(fourth.lhs <= fourth.rhs_printed_as_norm * (1 + 1e-9))
        found["theorem_4_2", "part_b_holds"].append(second.part_b_holds)
        rayleigh, conditions = second.assumptions["rayleigh_condition"], second.part_b_assumptions
        found["theorem_4_2", "part_b_holds_if_rayleigh"] += [second.part_b_holds] * rayleigh
        found["theorem_4_2", "part_b_holds_if_all_conditions"] += [second.part_b_holds] * conditions
        found["theorem_c_1", "counterexample_exists"].append(last.counterexample is not None)
        found["theorem_c_1", "holds_with_true_maxima"].append(last.holds_with_true_maxima)
        ratio = [last.counterexample_value / last.lhs] if last.lhs > 0 else []
        found["theorem_c_1", "counterexample_ratio"] += ratio
        found["theorem_c_1", "largest_counterexample_ratio"] += ratio
        positive = bool(w @ w_star > 0)
        found["lemma_4_5", "holds_printed"] += [lemma.holds_printed] * positive
        found["lemma_4_5", "holds_printed_without_condition"] += [lemma.holds_printed] * (not positive)
    return found


def test_every_number_of_the_table_is_that_of_its_cases(table):
    for (m, seed), rows in table.groupby(["samples", "seed"]):
        expected = written_out(m, seed, 30)
        rows = rows.set_index(["statement", "quantity"])
        assert set(rows.index) == set(expected)
        for key, cases in expected.items():
            row = rows.loc[key]
            assert row["count"] == len(cases)
            if key[1].endswith("ratio") or key[1] == "relative_error":
                value = pd.Series(cases).median() if key[1] == "counterexample_ratio" else max(cases)
                assert math.isnan(row["fraction"])
                assert row["value"] == value  # the same numbers by the same functions
            else:
                assert math.isnan(row["value"])
                assert row["fraction"] == pytest.approx(sum(cases) / len(cases), rel=1e-15)
