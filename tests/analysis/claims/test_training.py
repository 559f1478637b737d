import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import LAYERS, Kind, study

PLAIN, BATCH, NOISY = ("none", 0.1), ("batch", 0.1), ("noisy_batch", 0.1)
LP = ("l1", "l2", "linf")
NEVER = Kind(final=0.1, test=0.1, held_out=0.1)
MIXED = [3000.0, 3300.0, 6000.0, 9000.0, 9300.0]  # steps to 90 %: half of the seeds as fast as 3,000, half three times


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (Kind(reach=9000), "reproduced"),
        (Kind(reach=[3900, 4000, 4100, 3950, 4050]), "direction only"),  # faster, by less than half
        (Kind(reach=3150), "direction only"),
        (Kind(reach=2700), "not reproduced here"),
        (Kind(reach=MIXED), "undecided"),
        (NEVER, "reproduced"),  # a run that never gets there needs more than its 15,000 steps
        (Kind(reach=9000, diverged_at=2000, diverged_seed=3), "reproduced"),  # so does one that diverged
    ],
)
def test_c1(plain: Kind, expected: str) -> None:
    assert verdict("C1", study({PLAIN: plain, BATCH: Kind(reach=3000, test=0.85)}))["verdict"] == expected


def test_c1_counts_a_run_that_never_gets_there_as_a_result() -> None:
    entry = part(verdict("C1", study({PLAIN: NEVER, BATCH: Kind(reach=3000)})), "speed")
    # 15,001/2,901 (the first record at or after step 3,000) is the least that the ratio can be; no upper end is known
    assert entry["interval"] == [pytest.approx(15_001 / 3_001, rel=0.05), None]
    assert (entry["estimate"], entry["method"]) == (None, "range")
    assert "estimate is infinite" in entry["note"]


def test_c1_of_two_runs_that_never_get_there_says_nothing() -> None:
    entry = verdict("C1", study({PLAIN: NEVER, BATCH: NEVER}))
    assert entry["verdict"] == "undecided"
    assert entry["estimate"] is None


def test_c1_at_own_rates_is_a_check_that_held_out_images_choose_the_rates_for() -> None:
    training = {PLAIN: Kind(reach=9000), BATCH: Kind(reach=3000, test=0.85)}
    entry = verdict("C1", study(training))
    assert entry["artefacts"] == {"test": "holds", "speed_own_rates": "not run", "test_own_rates": "not run"}
    better = {("none", 0.5): Kind(reach=2000, test=0.9, held_out=0.9), ("batch", 0.5): NEVER}
    entry = verdict("C1", study(training | better))
    assert entry["verdict"] == "reproduced"  # at one rate, which is what the paper compares
    assert entry["artefacts"] == {"test": "holds", "speed_own_rates": "fails", "test_own_rates": "fails"}


DEAD, ALIVE = NEVER, Kind(final=0.81)


@pytest.mark.parametrize(
    ("rates", "plain_until", "batch_until", "expected"),
    [
        ((0.1, 0.14, 0.2, 0.28), 0.1, 0.2, "reproduced"),  # batch ≥ 0.2, plain < 0.14
        ((0.1, 0.14, 0.2, 0.28), 0.2, 0.1, "not reproduced here"),
        ((0.1, 0.14, 0.2), 0.14, 0.14, "undecided"),  # both between 0.14 and 0.2
        ((0.1, 0.5), 0.1, 0.1, "undecided"),
    ],
)
def test_c2(rates: tuple[float, ...], plain_until: float, batch_until: float, expected: str) -> None:
    until = {"none": plain_until, "batch": batch_until}
    cells = study({(norm, rate): ALIVE if rate <= until[norm] else DEAD for norm in until for rate in rates})
    entry = verdict("C2", cells)
    assert entry["verdict"] == expected
    assert part(entry, "reaching")["verdict"] == "undecided"  # 81 % is alive, and never 90 %


@pytest.mark.parametrize(
    ("noisy", "expected"),
    [
        (Kind(reach=3600), "reproduced"),
        (Kind(reach=8400), "not reproduced here"),
        (Kind(reach=[3300, 3600, 6300, 8400, 8700]), "undecided"),
        (Kind(reach=3600, diverged_at=200, diverged_seed=2, test=0.1), "undecided"),
        (Kind(reach=3600, steps=2000), "undecided"),  # a third of the window
    ],
)
def test_c4(noisy: Kind, expected: str) -> None:
    entry = verdict("C4", study({PLAIN: Kind(reach=9000), BATCH: Kind(reach=3000), NOISY: noisy}))
    assert entry["verdict"] == expected


def test_c4_compares_areas_over_the_steps_that_all_three_have() -> None:
    kinds = {PLAIN: Kind(reach=9000), BATCH: Kind(reach=3000), NOISY: Kind(reach=3600, steps=6000)}
    whole = {**kinds, NOISY: Kind(reach=3600)}
    short, full = (part(verdict("C4", study(one)), "gap_area")["estimate"] for one in (kinds, whole))
    assert short == pytest.approx(full, rel=1e-12)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (Kind(final=0.1), "reproduced"),
        (Kind(reach=9000), "not reproduced here"),
        (Kind(final=[0.1, 0.1, 0.3, 0.6, 0.7]), "undecided"),
        (Kind(reach=750, diverged_at=7500, test=0.1), "reproduced"),  # what it scored before it diverged does not count
        (Kind(final=0.1, layers=tuple(range(1, 9))), "undecided"),  # 8 layers
    ],
)
def test_c6(noise: Kind, expected: str) -> None:
    assert verdict("C6", study({("noise", 0.1): noise}))["verdict"] == expected


def test_c6_says_what_a_shallow_network_lacks() -> None:
    entry = verdict("C6", study({("noise", 0.1): Kind(final=0.1, layers=LAYERS[:2])}))
    assert entry["reason"] == "2 of 13 normalized layers"
    assert entry["estimate"] == 0.1


def test_c6_without_the_cell_is_not_run_and_says_why() -> None:
    entry = verdict("C6", study({PLAIN: Kind()}))
    assert entry["verdict"] == "not run"
    assert entry["reason"] == "no cell with norm_layer noise (vgg11)"
    assert entry["interval"] == [None, None]
    assert entry["n_seeds"] == 0


@pytest.mark.parametrize(
    ("l1", "expected"),
    [
        (Kind(reach=3300), "reproduced"),
        (Kind(reach=2700), "reproduced"),
        (Kind(reach=7500), "not reproduced here"),  # faster than none, but not within 25 % of BatchNorm
        (Kind(reach=MIXED), "undecided"),
        (Kind(reach=3300, diverged_at=1000, diverged_seed=0), "undecided"),
    ],
)
def test_c14(l1: Kind, expected: str) -> None:
    others = {("l2", 0.1): Kind(reach=3150), ("linf", 0.1): Kind(reach=3000)}
    cells = study({PLAIN: Kind(reach=12_000), BATCH: Kind(reach=3000), ("l1", 0.1): l1, **others})
    assert verdict("C14", cells)["verdict"] == expected


def test_c14_does_not_take_a_run_that_ended_for_one_that_never_gets_there() -> None:
    """BatchNorm needs 14,000 of 15,000 steps, ℓp more than 15,000: a factor of 1.07 or more, and nothing is decided."""
    cells = {PLAIN: Kind(final=0.85), BATCH: Kind(reach=14_000)} | {(p, 0.1): Kind(final=0.85) for p in LP}
    entry = verdict("C14", study(cells))
    assert entry["verdict"] == "undecided"
    assert entry["interval"] == [pytest.approx(15_001 / 14_001, rel=1e-2), None]


def test_c14_needs_all_three_and_compares_test_accuracy_by_points() -> None:
    kinds = {PLAIN: Kind(reach=12_000), BATCH: Kind(reach=3000), ("l1", 0.1): Kind(reach=3000, test=0.83)}
    assert verdict("C14", study(kinds))["verdict"] == "not run"
    others = {("l2", 0.1): Kind(reach=3000, test=0.81), ("linf", 0.1): Kind(reach=3000, test=0.79)}
    entry = verdict("C14", study(kinds | others))
    assert part(entry, "farthest_test")["estimate"] == pytest.approx(0.03)
    assert entry["artefacts"] == {"slowest_against_none": "holds", "farthest_test": "fails"}
