import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import Kind, study

RATES = (1e-6, 1e-7)
CONTRADICTED = "contradicted by the paper's own data"


def cells(plain: Kind, batch: Kind, seeds: int = 10, rates: tuple[float, ...] = RATES[:1], **others: Kind):
    kinds = {"none": plain, "batch": batch, **others}
    return study(deep_linear={(norm, rate): kind for norm, kind in kinds.items() for rate in rates}, seeds=seeds)


@pytest.mark.parametrize(
    ("plain", "expected"),
    [(Kind(cosine=0.99), "holds"), (Kind(cosine=0.9), "fails"), (Kind(cosine=[0.9] * 5 + [0.99] * 5), "undecided")],
)
def test_c8_is_contradicted_by_figure_3_and_this_is_what_is_measured_here(plain: Kind, expected: str) -> None:
    entry = verdict("C8", cells(plain, Kind(cosine=-0.9), rates=RATES))
    assert entry["verdict"] == CONTRADICTED
    assert entry["parts"][0]["verdict"] == expected
    assert part(entry, "batch_most")["estimate"] == pytest.approx(0.9)  # anti-correlated is not uncorrelated


def test_c8_on_half_of_its_seeds_decides_nothing() -> None:
    entry = verdict("C8", cells(Kind(cosine=0.99), Kind(cosine=0.1), 5, RATES))
    assert entry["parts"][0]["reason"] == "5 of 10 seeds"


@pytest.mark.parametrize(
    ("near", "far", "expected"),
    [(5.0, 1e8, ("holds", "holds")), (1.0, 1e8, ("fails", "holds")), (1.0, 1.0, ("fails", "fails"))],
)
def test_c12_has_a_finding_for_no_gap_anywhere(near: float, far: float, expected: tuple[str, str]) -> None:
    plain = Kind(near_beta=near, beta=far)
    entry = verdict("C12", cells(plain, Kind(near_beta=1.0, beta=1.0)))
    assert entry["verdict"] == CONTRADICTED
    assert (part(entry, "near")["verdict"], part(entry, "far")["verdict"]) == expected


def test_c12_never_counts_an_exploding_seed_as_smooth() -> None:
    """BatchNorm diverges in one seed after a few smooth steps: rougher than any number, and no longer 0.02 of it."""
    gone = Kind(near_beta=0.1, diverged_at=600, diverged_seed=6)
    entry = part(verdict("C12", cells(Kind(near_beta=5.0), gone)), "near")
    assert entry["per_seed"]["6"] == 0.0  # 5/∞
    assert entry["per_seed"]["5"] == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("l1", "expected"),
    [
        (Kind(loss=50.0), "reproduced"),
        (Kind(loss=90.0), "direction only"),
        (Kind(loss=99.96), "not reproduced here"),  # 4e-4 lower is no gain
        (Kind(loss=150.0), "not reproduced here"),
        (Kind(loss=[50.0, 150.0] * 5), "undecided"),
        (Kind(loss=50.0, diverged_at=200), "not reproduced here"),
        (Kind(loss=50.0, diverged_at=200, diverged_seed=1), "reproduced"),  # one of ten is outside of 2nd to 9th
    ],
)
def test_c15(l1: Kind, expected: str) -> None:
    entry = verdict("C15", cells(Kind(loss=1000.0), Kind(loss=100.0), l1=l1, l2=Kind(), linf=Kind(loss=300.0)))
    assert entry["verdict"] == expected
    assert entry["artefacts"]["highest_against_batch"] == "fails"  # ℓ∞, three times as high


def test_c15_counts_a_diverged_seed_as_an_infinite_loss() -> None:
    gone = Kind(loss=50.0, diverged_at=200)
    entry = verdict("C15", cells(Kind(loss=1000.0), Kind(loss=100.0), l1=gone, l2=Kind(), linf=Kind()))
    assert part(entry, "l1_share")["estimate"] == 0.0
    assert entry["artefacts"]["highest_against_none"] == "fails"
