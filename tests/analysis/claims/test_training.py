import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import Kind, study

PLAIN, BATCH = ("none", 0.1), ("batch", 0.1)
MIXED = [20.0, 22.0, 40.0, 60.0, 62.0]  # batches to 90 %: half of the seeds as fast as 20, half three times slower


def sweep(plain: Kind, batch: Kind, slow_plain: Kind) -> dict:
    """Two learning rates: at 0.5 the plain network is `slow_plain`, BatchNorm a little slower than at 0.1."""
    return {PLAIN: plain, BATCH: batch, ("none", 0.5): slow_plain, ("batch", 0.5): Kind(reach=30, test=0.85)}


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (Kind(reach=60, test=0.80), "supported"),
        (Kind(reach=21, test=0.84), "refuted"),
        (Kind(reach=MIXED, test=0.80), "inconclusive"),
        (Kind(reach=60, test=0.849), "inconclusive"),  # faster, but not better by a point
    ],
)
def test_c1(plain: Kind, expected: str) -> None:
    never = Kind(reach=1e9, final=0.1, test=0.1)
    assert verdict("C1", study(sweep(plain, Kind(reach=20, test=0.85), never)))["verdict"] == expected


def test_c1_needs_a_choice_of_rates() -> None:
    entry = verdict("C1", study({PLAIN: Kind(reach=60, test=0.8), BATCH: Kind(reach=20, test=0.85)}))
    assert entry["verdict"] == "inconclusive"
    assert part(entry, "speed")["verdict"] == "supported"
    assert part(entry, "speed_own_rates")["verdict"] == "not run"
    assert "no choice of learning rates" in entry["reason"]


def test_c1_counts_a_run_that_never_gets_there_as_a_result() -> None:
    never = Kind(reach=1e9, final=0.5, test=0.5)
    entry = part(verdict("C1", study({PLAIN: never, BATCH: Kind(reach=20, test=0.85)})), "speed")
    # 101/20 is the least that the ratio can be after 100 batches; no upper end is known
    assert entry["verdict"] == "supported"
    assert entry["interval"] == [pytest.approx(101 / 20), None]
    assert entry["estimate"] is None
    assert "infinite" in entry["note"]


def test_c1_of_two_runs_that_never_get_there_says_nothing() -> None:
    never = Kind(reach=1e9, final=0.5)
    entry = part(verdict("C1", study({PLAIN: never, BATCH: never})), "speed")
    assert entry["verdict"] == "inconclusive"
    assert entry["estimate"] is None


USABLE, DEAD = Kind(reach=40), Kind(reach=1e9, final=0.1)


@pytest.mark.parametrize(
    ("rates", "plain_until", "batch_until", "expected"),
    [
        ((0.1, 0.3, 1.0, 3.0), 0.1, 1.0, "supported"),  # batch ≥ 1, plain < 0.3: more than 3.3
        ((0.1, 0.12, 0.14), 0.12, 0.12, "refuted"),  # both between 0.12 and 0.14: at most 1.17
        ((0.1, 0.5), 0.1, 0.5, "inconclusive"),  # the plain limit may lie just below 0.5
    ],
)
def test_c2(rates: tuple[float, ...], plain_until: float, batch_until: float, expected: str) -> None:
    until = {"none": plain_until, "batch": batch_until}
    cells = study({(norm, rate): USABLE if rate <= until[norm] else DEAD for norm in until for rate in rates})
    assert verdict("C2", cells)["verdict"] == expected


@pytest.mark.parametrize(
    ("noisy", "expected"),
    [
        (Kind(reach=24), "supported"),
        (Kind(reach=56), "refuted"),
        (Kind(reach=[22, 24, 42, 56, 58]), "inconclusive"),
    ],
)
def test_c4(noisy: Kind, expected: str) -> None:
    entry = verdict("C4", study({PLAIN: Kind(reach=60), BATCH: Kind(reach=20), ("noisy_batch", 0.1): noisy}))
    assert entry["verdict"] == expected


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (Kind(reach=100, final=0.1), "supported"),
        (Kind(reach=60), "refuted"),
        (Kind(reach=100, final=[0.1, 0.1, 0.3, 0.6, 0.7]), "inconclusive"),
        (Kind(reach=5, diverged_at=50, test=0.1), "supported"),  # what it scored before it diverged does not count
    ],
)
def test_c6(noise: Kind, expected: str) -> None:
    assert verdict("C6", study({("noise", 0.1): noise}))["verdict"] == expected


def test_c6_without_the_cell_is_not_run_and_says_why() -> None:
    entry = verdict("C6", study({PLAIN: Kind()}))
    assert entry["verdict"] == "not run"
    assert entry["reason"] == "no cell with norm_layer noise (vgg11)"
    assert entry["interval"] == [None, None]
    assert entry["n_seeds"] == 0


@pytest.mark.parametrize(
    ("l1", "expected"),
    [
        (Kind(reach=22), "supported"),
        (Kind(reach=50), "refuted"),  # faster than none, but not within 20 % of BatchNorm
        (Kind(reach=MIXED), "inconclusive"),
    ],
)
def test_c14(l1: Kind, expected: str) -> None:
    others = {("l2", 0.1): Kind(reach=21), ("linf", 0.1): Kind(reach=20)}
    cells = study({PLAIN: Kind(reach=80), BATCH: Kind(reach=20), ("l1", 0.1): l1, **others})
    assert verdict("C14", cells)["verdict"] == expected
