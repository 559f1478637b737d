import dataclasses
import math

import pandas as pd
import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import SPEC, Kind, study

from normlab.analysis.cells import Cells

PLAIN, BATCH = ("none", 0.1), ("batch", 0.1)
WIDE = [0.5, 0.5, 3, 3, 3]


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (Kind(rough=3.0, near=3.0), "supported"),
        (Kind(rough=0.9, near=3.0), "refuted"),
        (Kind(rough=WIDE, near=WIDE), "inconclusive"),
        (Kind(rough=3.0, near=1.0), "inconclusive"),  # the paper's own measure alone does not carry it
    ],
)
def test_c9(plain: Kind, expected: str) -> None:
    entry = verdict("C9", study({PLAIN: plain, BATCH: Kind(rough=1.0, near=1.0)}))
    assert entry["verdict"] == expected
    assert {f"phase_{n}" for n in range(1, 6)} <= {p["name"] for p in entry["parts"]}


@pytest.mark.parametrize(("distance", "expected"), [(50.0, "supported"), (3.0, "refuted"), (20.0, "inconclusive")])
def test_c10(distance: float, expected: str) -> None:
    entry = verdict("C10", study({PLAIN: Kind(distance=distance), BATCH: Kind(distance=1.0)}))
    assert entry["verdict"] == expected
    assert part(entry, "direction")["verdict"] == "supported"
    assert part(entry, "at_0.25")["estimate"] == pytest.approx(distance, rel=1e-12)


@pytest.mark.parametrize(
    ("plain", "batch", "expected"),
    [
        (Kind(beta=20.0), Kind(beta=10.0), "supported"),
        (Kind(beta=20.0, plateau=True), Kind(beta=10.0, plateau=True), "refuted"),
        (Kind(beta=11.0), Kind(beta=10.0), "inconclusive"),
        (Kind(beta=30.0), Kind(beta=10.0, plateau=True), "inconclusive"),  # an artefact in one network only
    ],
)
def test_c11(plain: Kind, batch: Kind, expected: str) -> None:
    assert verdict("C11", study({PLAIN: plain, BATCH: batch}))["verdict"] == expected


def test_c11_names_what_the_plateau_is() -> None:
    kinds = {(norm, rate): Kind(plateau=True) for norm in ("none", "batch") for rate in (0.1, 0.3)}
    entry = verdict("C11", study(kinds))
    # β_k = 1/η_k: half the smallest step doubles the plateau, plateau × η_min = 1, and it moves as 1/learning rate
    assert part(entry, "halved_batch")["estimate"] == pytest.approx(2.0, rel=1e-9)
    assert part(entry, "plateau_none")["estimate"] == pytest.approx(1.0, rel=1e-9)
    assert part(entry, "rate_moved_none")["estimate"] == pytest.approx(1.0, rel=1e-9)
    assert part(entry, "sharpness_batch")["estimate"] == pytest.approx(2.0, rel=1e-9)
    assert part(entry, "same_function")["verdict"] == "not run"


def test_c11_same_function_uses_the_last_checkpoint_of_each_seed() -> None:
    cells = study({PLAIN: Kind(), BATCH: Kind()})
    rows = cells.measurements.query("probe == 'landscape' and quantity == 'effective_beta'")
    rows = rows.assign(study="reparametrization")
    rows.loc[(rows["norm_layer"] == "batch") & (rows["step"] == 100), "value"] *= 0.25
    both = pd.concat([cells.measurements, rows], ignore_index=True)
    both = both.astype({"study": "category", "probe": "category", "quantity": "category", "norm_layer": "category"})
    entry = verdict("C11", Cells(both, pd.DataFrame(), SPEC))
    assert part(entry, "same_function")["estimate"] == pytest.approx(0.25, rel=1e-12)
    assert part(entry, "early")["n_seeds"] == 5


@pytest.mark.parametrize(("factor", "expected"), [(2.0, "supported"), (0.8, "refuted"), (1.2, "inconclusive")])
def test_c13(factor: float, expected: str) -> None:
    plain = Kind(rough=factor, distance=factor, beta=10 * factor)
    assert verdict("C13", study({PLAIN: plain, BATCH: Kind()}))["verdict"] == expected


@pytest.mark.parametrize(("linf", "expected"), [(1.2, "supported"), (5.0, "refuted"), (WIDE, "inconclusive")])
def test_c16(linf: float | list[float], expected: str) -> None:
    norms = ("batch", "l1", "l2", "linf")
    training = {(norm, 0.1): Kind(rough=linf if norm == "linf" else 1.0) for norm in norms}
    cells = study(training, {(norm, 1e-6): Kind() for norm in norms})
    assert verdict("C16", cells)["verdict"] == expected


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (Kind(start=5.0, shift=0.5, distance=0.5, beta=5.0), "supported"),
        (Kind(start=5.0, shift=2.0, distance=0.5, beta=5.0), "refuted"),  # rougher at the start, and still later
        (Kind(start=5.0, shift=[0.5, 0.5, 2, 2, 2], distance=0.5, beta=5.0), "inconclusive"),
    ],
)
def test_c24(batch: Kind, expected: str) -> None:
    assert verdict("C24", study({PLAIN: Kind(), BATCH: batch}))["verdict"] == expected


def test_a_diverged_run_widens_the_interval_instead_of_leaving() -> None:
    entry = part(verdict("C9", study({PLAIN: Kind(rough=3.0, diverged_at=45), BATCH: Kind()})), "phase_4")
    # no plain seed has a probed step in 40–70 %: nothing is known, and nothing is decided
    assert entry["verdict"] == "not run"
    assert "no probed step of vgg11-none-0.1" in entry["reason"]


def test_overflow_counts_as_larger_than_any_number() -> None:
    cells = study({PLAIN: Kind(rough=3.0), BATCH: Kind(rough=1.0)})
    frame = cells.measurements.copy()
    overflown = (frame["norm_layer"] == "none") & (frame["quantity"] == "loss_range") & (frame["seed"] < 3)
    frame.loc[overflown, "value"] = math.nan  # the walk's loss was inf − inf
    entry = part(verdict("C9", dataclasses.replace(cells, measurements=frame)), "gradient")
    assert entry["verdict"] == "supported"
    assert entry["interval"] == [pytest.approx(3.0), None]
