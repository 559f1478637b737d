import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import Kind, study, theory_table

FALSE_MAXIMUM = {"theorem_c_1__counterexample_exists": 0.0}


@pytest.mark.parametrize(
    ("claim", "shares", "expected"),
    [
        ("C18", {}, "supported"),
        ("C18", {"theorem_4_1__holds_printed": 0.98}, "refuted"),  # one counterexample in fifty is enough
        ("C18", {"theorem_4_1__holds_corrected": 0.5}, "inconclusive"),  # then our own correction is wrong
        ("C19", {}, "supported"),
        ("C19", {"theorem_4_2__part_b_holds_if_rayleigh": 0.97}, "refuted"),
        ("C20", FALSE_MAXIMUM, "supported"),
        ("C20", {}, "refuted"),
        ("C21", {}, "supported"),
        ("C21", {"observation_4_3__holds_printed": 0.0}, "refuted"),
        ("C22", {}, "supported"),
        ("C22", {"theorem_4_2__overlap_positive": 0.5}, "refuted"),
        ("C22", {"theorem_4_2__overlap_positive": 0.75}, "inconclusive"),
    ],
)
def test_theory(claim: str, shares: dict[str, float], expected: str) -> None:
    assert verdict(claim, study({("none", 0.1): Kind()}, theory=theory_table(**shares)))["verdict"] == expected


@pytest.mark.parametrize("claim", ["C18", "C19", "C20", "C21", "C22"])
def test_theory_that_was_not_run(claim: str) -> None:
    entry = verdict(claim, study({("none", 0.1): Kind()}))
    assert entry["verdict"] == "not run"
    assert entry["reason"] == "the study theory was not run"


def test_checkpoints_of_another_rate_do_not_count() -> None:
    table = theory_table()
    entry = verdict("C22", study({("none", 0.1): Kind()}, theory=table.assign(learning_rate=0.5)))
    assert entry["verdict"] == "not run"


NORMS = ("none", "batch", "noisy_batch", "noise", "l1", "l2", "linf", "layer", "group", "instance")


def causal(reach: list[float], seeds: int = 5):
    """Cells whose early β at step sizes ≤ rate is 1, 2, 3, … and whose steps to 90 % are `reach`."""
    kinds = [Kind(near_beta=1.0 + i, beta=100.0, reach=r) for i, r in enumerate(reach)]
    return study({(norm, 0.1): kind for norm, kind in zip(NORMS, kinds, strict=False)}, seeds=seeds)


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        ([10, 15, 20, 25, 30, 35, 40, 45, 50, 1e9], "supported"),  # the last never gets there: the slowest rank
        ([50, 45, 40, 35, 30, 25, 20, 15, 10, 5], "refuted"),  # the wrong sign
        ([10, 50, 20, 60, 15, 40, 30, 70, 25, 80], "inconclusive"),
    ],
)
def test_c23(reach: list[float], expected: str) -> None:
    entry = verdict("C23", causal(reach))
    assert entry["verdict"] == expected
    assert entry["n_seeds"] == 5


def test_c23_needs_cells_as_well_as_seeds() -> None:
    entry = verdict("C23", causal([10, 20, 30]))
    assert entry["verdict"] == "inconclusive"
    assert entry["reason"] == "3 of 8 cells"
    assert (
        part(verdict("C23", causal([10, 20, 30, 40, 50, 60, 70, 80], seeds=2)), "all_cells")["reason"] == "2 of 5 seeds"
    )
