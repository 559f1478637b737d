"""The paper's own curves under the rules: what each claim's rule says of the figure that the claim is about."""

import pytest
from tests.analysis.claims.judging import of_paper as numbers
from tests.analysis.claims.judging import packaged

# claim, its number on the paper's curves (to the digits that matter), whether that passes the claim's rule
EXPECTED = [
    ("C1", 3301 / 1601, True),  # 3,300 and 1,600 steps
    ("C3", 97.0, False),  # after the normalizer; its text says "marginal"
    ("C4", 0.084, True),
    ("C5", 3.65, True),
    ("C7", 1.08, True),
    ("C8", -0.909, False),
    ("C9", 6.2, True),
    ("C10", 2.51, False),  # its text: "close to two orders of magnitude"
    ("C11", 0.977, False),
    ("C12", 1.002, False),
    ("C14", 1801 / 1601, True),
    ("C15", 97.449 / 479.382, True),
    ("C16", 1.336, True),
    ("C24", 200.0, True),
]


@pytest.mark.parametrize(("claim_id", "number", "passes"), EXPECTED)
def test_the_papers_curves_under_the_rule(claim_id: str, number: float, passes: bool) -> None:
    claim = packaged()[claim_id]
    found = numbers(claim_id)[claim.paper.part or claim.primary]
    assert found.estimate == pytest.approx(number, rel=5e-3)
    assert claim.parts[claim.primary].holds.holds(found) is passes  # type: ignore[union-attr]


def test_a_rate_that_no_figure_tries_leaves_a_bracket_open() -> None:
    found = numbers("C2")["rate_ratio"]
    assert (found.low, found.high) == (1.0, float("inf"))  # BatchNorm is alive at 0.5, where plain is dead
    assert packaged()["C2"].parts["rate_ratio"].holds.holds(found)  # type: ignore[union-attr]


def test_every_claim_with_figures_has_a_number_and_every_one_without_is_words_alone() -> None:
    for claim_id, claim in packaged().items():
        if claim.group in ("empirical", "deep linear"):
            has_number = (claim.paper.part or claim.primary) in numbers(claim_id)
            assert has_number == bool(claim.paper.figures), claim_id
    assert {c for c, claim in packaged().items() if not claim.paper.figures and claim.group == "empirical"} == {
        "C6",
        "C13",
        "C17",
    }


@pytest.mark.parametrize(
    ("claim_id", "part", "number"),
    [
        ("C1", "test", 0.0286),  # 82.9 − 80.0
        ("C4", "closer_steps", -0.087),  # one crossing of 90 %: the other way round
        ("C4", "gap_area", 0.0316),  # not "almost non-existent"
        ("C5", "variance", 7.56),
        ("C8", "none_1e-07_9", 1.0),
        ("C8", "batch_1e-06_9", 0.873),  # not uncorrelated
        ("C9", "phase_1", 2.46),
        ("C9", "phase_2", 6.43),
        ("C9", "phase_3", 9.41),
        ("C9", "phase_4", 5.08),
        ("C9", "phase_5", 0.967),
        ("C9", "equal_accuracy", 3.59),
        ("C10", "at_1", 1.07),  # no gap at the learning rate
        ("C10", "at_4", 2.29),
        ("C10", "equal_accuracy", 2.77),
        ("C11", "early", 0.858),
        ("C11", "plateau_none", 0.999),  # 1/η_min, as is
        ("C11", "plateau_batch", 0.999),
        ("C12", "far", 11.4),
        ("C12", "edge_batch", 2.0),  # 2/learning rate
        ("C15", "highest_against_batch", 2.06),  # ℓ∞ ends twice as high as BatchNorm
        ("C16", "linf_deep_linear_far", 1.1),
        ("C24", "start_distance", 59.6),
        ("C24", "reversal_beta", 200.0),
        ("C24", "reversal_shift", 1000.0),
    ],
)
def test_what_the_figures_show_beside_it(claim_id: str, part: str, number: float) -> None:
    assert numbers(claim_id)[part].estimate == pytest.approx(number, rel=1e-2)
