import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import Kind, study

RATES = (1e-6, 1e-7)


def cells(plain: Kind, batch: Kind, seeds: int = 10, **others: Kind):
    kinds = {"none": plain, "batch": batch, **others}
    return study(deep_linear={(norm, rate): kind for norm, kind in kinds.items() for rate in RATES}, seeds=seeds)


@pytest.mark.parametrize(
    ("plain", "batch", "expected"),
    [
        (Kind(cosine=0.99), Kind(cosine=0.1), "supported"),
        (Kind(cosine=0.99), Kind(cosine=-0.9), "refuted"),  # anti-correlated is not uncorrelated
        (Kind(cosine=[0.9] * 5 + [0.99] * 5), Kind(cosine=0.1), "inconclusive"),
    ],
)
def test_c8(plain: Kind, batch: Kind, expected: str) -> None:
    assert verdict("C8", cells(plain, batch))["verdict"] == expected


def test_c8_on_half_of_its_seeds_decides_nothing() -> None:
    entry = verdict("C8", cells(Kind(cosine=0.99), Kind(cosine=0.1), seeds=5))
    assert entry["verdict"] == "inconclusive"
    assert entry["reason"] == "5 of 10 seeds"


@pytest.mark.parametrize(
    ("near", "far", "expected"),
    [(5.0, 1e8, "supported"), (1.0, 1e8, "refuted"), (1.0, 1.0, "inconclusive")],
)
def test_c12(near: float, far: float, expected: str) -> None:
    plain = Kind(near_beta=near, beta=far)
    assert verdict("C12", cells(plain, Kind(near_beta=1.0, beta=1.0)))["verdict"] == expected


@pytest.mark.parametrize(
    ("l1", "linf", "seeds", "expected"),
    [
        (Kind(loss=50.0), Kind(loss=300.0), 20, "supported"),
        (Kind(loss=150.0), Kind(loss=300.0), 10, "refuted"),  # above BatchNorm in every seed
        (Kind(loss=50.0), Kind(loss=2000.0), 10, "refuted"),  # one of them above the plain network
        (Kind(loss=50.0), Kind(loss=300.0), 10, "inconclusive"),  # 10 of 10 do not exclude a share of 0.75
    ],
)
def test_c15(l1: Kind, linf: Kind, seeds: int, expected: str) -> None:
    entry = verdict("C15", cells(Kind(loss=1000.0), Kind(loss=100.0), seeds, l1=l1, l2=Kind(), linf=linf))
    assert entry["verdict"] == expected


def test_c15_counts_a_diverged_seed_as_an_infinite_loss() -> None:
    gone = Kind(loss=50.0, diverged_at=20)
    entry = verdict("C15", cells(Kind(loss=1000.0), Kind(loss=100.0), l1=gone, l2=Kind(), linf=Kind()))
    assert part(entry, "l1_share")["estimate"] == 0.0
    assert part(entry, "l1_against_none")["verdict"] == "refuted"
