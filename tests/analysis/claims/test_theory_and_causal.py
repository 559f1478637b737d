import dataclasses

import pandas as pd
import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import Kind, study, theory_table

from normlab.tables.frames import as_categories

FALSE_MAXIMUM = {"theorem_c_1__counterexample_exists": 0.0}


@pytest.mark.parametrize(
    ("claim", "shares", "expected"),
    [
        ("C18", {}, "reproduced"),
        ("C18", {"theorem_4_1__holds_printed": 0.98}, "erratum"),  # one counterexample in fifty is enough
        (
            "C18",
            {"theorem_4_1__holds_printed": 0.98, "theorem_4_1__holds_corrected": 0.5},
            "undecided",
        ),  # we erred, too
        ("C19", {}, "reproduced"),
        ("C19", {"theorem_4_2__part_b_holds_if_rayleigh": 0.97}, "erratum"),
        ("C20", {}, "reproduced"),
        ("C20", {"theorem_4_4__holds_printed": 0.0, **FALSE_MAXIMUM}, "erratum"),
        ("C21", {}, "reproduced"),
        ("C21", {"observation_4_3__holds_printed": 0.0}, "erratum"),
        ("C22", {}, "yes"),
        ("C22", {"theorem_4_1__gamma_at_most_sigma": 0.5}, "no"),
        ("C22", {"theorem_4_1__gamma_at_most_sigma": 0.75}, "undecided"),
        ("C22", {"theorem_4_2__overlap_positive": 0.5}, "yes"),  # forced wherever γ is stationary: decides nothing
    ],
)
def test_theory(claim: str, shares: dict[str, float], expected: str) -> None:
    assert verdict(claim, study({("none", 0.1): Kind()}, theory=theory_table(**shares)))["verdict"] == expected


@pytest.mark.parametrize("claim", ["C18", "C19", "C20", "C21", "C22"])
def test_theory_that_was_not_run(claim: str) -> None:
    entry = verdict(claim, study({("none", 0.1): Kind()}))
    assert entry["verdict"] == "not run"
    assert entry["reason"] == "the study theory was not run"


def test_a_statement_about_all_numbers_is_no_statistic() -> None:
    entry = verdict("C18", study({("none", 0.1): Kind()}, theory=theory_table(theorem_4_1__holds_printed=0.98)))
    assert entry["method"] == "all cases, no statistic"
    assert entry["interval"] == [pytest.approx(0.02)] * 2


def test_checkpoints_of_another_rate_do_not_count() -> None:
    table = theory_table()
    entry = verdict("C22", study({("none", 0.1): Kind()}, theory=table.assign(learning_rate=0.5)))
    assert entry["verdict"] == "not run"


def test_c22_shows_the_overlap_before_gamma_was_trained() -> None:
    table = theory_table(theorem_4_2__overlap_positive=0.5)
    early = table[table["quantity"] == "overlap_positive"].assign(fraction=0.95)
    later = table.assign(step=100)
    entry = verdict("C22", study({("none", 0.1): Kind()}, theory=pd.concat([later, early])))
    assert part(entry, "overlap_at_start")["estimate"] == pytest.approx(0.95)
    assert part(entry, "overlap")["estimate"] == pytest.approx(0.725)


NORMS = ("none", "batch", "noisy_batch", "noise", "l1", "l2", "linf", "layer", "group", "instance")


def causal(reach: list[float], rates: tuple[float, ...] = (0.1,), seeds: int = 2, **further: object):
    """Cells of rising early β at step sizes ≤ rate, and whose steps to 90 % are `reach`; both fall with the rate."""
    kinds = {}
    for place, rate in enumerate(rates):
        for i, (norm, steps) in enumerate(zip(NORMS, reach, strict=False)):
            smooth = Kind(near_beta=(1.0 + i) / 2.0**place, beta=100.0, reach=steps / 2.0**place, **further)
            kinds[norm, rate] = smooth
    return study(kinds, seeds=seeds)


RISING = [1000.0 + 500 * i for i in range(9)] + [1e9]  # the last never gets there: the slowest rank


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (RISING, "yes"),
        ([5000, 4500, 4000, 3500, 3000, 2500, 2000, 1500, 1000, 500], "no"),  # the wrong sign
        ([1000, 5000, 2000, 6000, 1500, 4000, 3000, 7000, 2500, 8000], "undecided"),
    ],
)
def test_c23(reach: list[float], expected: str) -> None:
    assert verdict("C23", causal(reach))["verdict"] == expected


def test_c23_does_not_take_a_trend_between_rates_for_one_within_them() -> None:
    """β and the steps both halve with each rate, but within a rate the smooth one is the slow one."""
    entry = verdict("C23", causal(RISING[::-1][1:], rates=(0.1, 0.3, 1.0)))
    assert entry["estimate"] == pytest.approx(-1.0)
    assert entry["verdict"] == "no"


def test_c23_needs_cells_normalizers_and_seeds() -> None:
    assert verdict("C23", causal(RISING[:3]))["reason"] == "3 of 5 cells"
    assert "too few" in verdict("C23", causal(RISING[:5]))["reason"]
    assert verdict("C23", causal(RISING, seeds=1))["reason"] == "1 of 2 seeds"


def test_c23_is_about_the_cells_of_one_network() -> None:
    cells, opposite = causal(RISING[:8]), causal(RISING[:8][::-1]).measurements
    other = opposite.assign(network="resnet20")
    both = as_categories(pd.concat([cells.measurements.astype({"network": str}), other], ignore_index=True))
    found = verdict("C23", dataclasses.replace(cells, measurements=both))
    assert found["estimate"] == verdict("C23", cells)["estimate"] == pytest.approx(1.0)


def test_c23_counts_a_cell_whose_seeds_diverged_as_rough() -> None:
    cells = causal(RISING[:8])
    gone = {("none", 0.1): Kind(near_beta=0.1, reach=1e9, diverged_at=500)}
    kinds = {(norm, 0.1): Kind(near_beta=1.0 + i, beta=100.0, reach=RISING[i]) for i, norm in enumerate(NORMS[:8])}
    found = verdict("C23", study(kinds | gone, seeds=2))
    assert found["estimate"] == pytest.approx(1.0)  # roughest and slowest, not smoothest (β 0.1)
    assert verdict("C23", cells)["estimate"] == pytest.approx(1.0)
