import dataclasses
import math

import pandas as pd
import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import SPEC, Kind, study

from normlab.analysis.cells import Cells

PLAIN, BATCH = ("none", 0.1), ("batch", 0.1)
WIDE = [0.5, 0.5, 3, 3, 3]
CONTRADICTED = "contradicted by the paper's own data"


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (Kind(rough=3.0), "reproduced"),
        (Kind(rough=1.5), "direction only"),
        (Kind(rough=0.9), "not reproduced here"),
        (Kind(rough=WIDE), "undecided"),
        (Kind(rough=3.0, steps=1500), "undecided"),  # a quarter of the window
        (Kind(rough=3.0, steps=5000), "reproduced"),
        (Kind(rough=0.01, diverged_at=700), "reproduced"),  # what exploded is not smooth
    ],
)
def test_c9(plain: Kind, expected: str) -> None:
    entry = verdict("C9", study({PLAIN: plain, BATCH: Kind(rough=1.0)}))
    assert entry["verdict"] == expected
    assert {f"phase_{n}" for n in range(1, 6)} <= {p["name"] for p in entry["parts"]}


def test_c9_with_a_diverged_seed_of_batch_norm_is_not_supported_by_it() -> None:
    gone = Kind(diverged_at=700, diverged_seed=2)
    entry = verdict("C9", study({PLAIN: Kind(rough=3.0), BATCH: gone}))
    assert entry["parts"][0]["per_seed"]["2"] == 0.0  # 3/∞: the plain network is the smoother one
    assert entry["verdict"] == "undecided"


def test_c9_shows_what_does_not_carry_it() -> None:
    """Rougher at large steps alone: the paper's measure holds, the check at step sizes up to the rate does not."""
    entry = verdict("C9", study({PLAIN: Kind(rough=3.0, near=0.2), BATCH: Kind(rough=1.0, near=0.5)}))
    assert entry["verdict"] == "reproduced"
    assert entry["artefacts"] == {"equal_distance": "holds", "up_to_rate": "fails", "equal_accuracy": "holds"}


def test_c9_up_to_the_rate_uses_the_papers_step_sizes_alone() -> None:
    cells = study({PLAIN: Kind(near=2.0), BATCH: Kind(near=1.0)})
    frame = cells.measurements.copy()
    extra = (frame["quantity"] == "loss") & frame["step_size"].sub(0.025).abs().lt(1e-9)  # 0.25 × the rate
    frame.loc[extra, "value"] = 1e6
    entry = part(verdict("C9", dataclasses.replace(cells, measurements=frame)), "up_to_rate")
    assert entry["estimate"] == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(("distance", "expected"), [(50.0, "holds"), (3.0, "fails"), (20.0, "undecided")])
def test_c10_is_contradicted_by_figure_4_and_direction_is_another_column(distance: float, expected: str) -> None:
    entry = verdict("C10", study({PLAIN: Kind(distance=distance), BATCH: Kind(distance=1.0, turn=0.9)}))
    assert entry["verdict"] == CONTRADICTED
    assert entry["parts"][0]["verdict"] == expected
    assert entry["direction"] == {"claimed": 5, "seeds": 5, "holds": True}
    assert entry["artefacts"]["cosine"] == "holds"
    assert part(entry, "cosine")["estimate"] == pytest.approx(0.4)
    assert part(entry, "at_0.25")["estimate"] == pytest.approx(distance, rel=1e-12)


@pytest.mark.parametrize(
    ("plain", "batch", "expected"),
    [
        (Kind(beta=20.0), Kind(beta=10.0), "holds"),
        (Kind(beta=10.0), Kind(beta=10.0), "fails"),  # no better is a finding
        (Kind(beta=11.0), Kind(beta=10.0), "undecided"),
    ],
)
def test_c11(plain: Kind, batch: Kind, expected: str) -> None:
    entry = verdict("C11", study({PLAIN: plain, BATCH: batch}))
    assert entry["verdict"] == CONTRADICTED
    assert entry["parts"][0]["verdict"] == expected


def test_c11_names_what_the_plateau_is() -> None:
    kinds = {(norm, rate): Kind(plateau=True) for norm in ("none", "batch") for rate in (0.1, 0.3)}
    entry = verdict("C11", study(kinds))
    # β_k = 1/η_k: half the smallest step doubles the plateau, plateau × η_min = 1, and it moves as 1/learning rate
    assert part(entry, "halved_batch")["estimate"] == pytest.approx(2.0, rel=1e-9)
    assert entry["artefacts"]["halved_none"] == entry["artefacts"]["halved_batch"] == "fails"
    assert part(entry, "plateau_none")["estimate"] == pytest.approx(1.0, rel=1e-9)
    assert part(entry, "rate_moved_none")["estimate"] == pytest.approx(1.0, rel=1e-9)
    assert part(entry, "sharpness_batch")["estimate"] == pytest.approx(2.0, rel=1e-9)
    assert part(entry, "same_function")["verdict"] == "not run"


def test_c11_same_function_uses_the_last_checkpoint_of_each_seed() -> None:
    cells = study({PLAIN: Kind(), BATCH: Kind()})
    rows = cells.measurements.query("probe == 'landscape' and quantity == 'effective_beta'")
    rows = rows.assign(study="reparametrization")
    rows.loc[(rows["norm_layer"] == "batch") & (rows["step"] == 15_000), "value"] *= 0.25
    both = pd.concat([cells.measurements, rows], ignore_index=True)
    both = both.astype({"study": "category", "probe": "category", "quantity": "category", "norm_layer": "category"})
    entry = verdict("C11", Cells(both, pd.DataFrame(), SPEC))
    assert part(entry, "same_function")["estimate"] == pytest.approx(0.25, rel=1e-12)
    assert part(entry, "early")["n_seeds"] == 5


@pytest.mark.parametrize(
    ("random", "expected"),
    [(1.0, "reproduced"), (0.7, "reproduced"), (0.1, "not reproduced here"), ([0.2, 0.2, 1, 1, 1], "undecided")],
)
def test_c13_compares_directions_not_scales(random: float | list[float], expected: str) -> None:
    """None/batch is 3 along the gradient; along a random direction it is 3 × `random`."""
    entry = verdict("C13", study({PLAIN: Kind(rough=3.0, random=random), BATCH: Kind()}))
    assert entry["verdict"] == expected


def test_c13_without_relative_walks_is_not_run_and_shows_the_unscaled_ones() -> None:
    cells = study({PLAIN: Kind(rough=3.0, random=0.5), BATCH: Kind()})
    frame = cells.measurements[~cells.measurements["probe"].isin(["landscape_relative", "landscape_random_relative"])]
    entry = verdict("C13", dataclasses.replace(cells, measurements=frame))
    assert entry["verdict"] == "not run"
    assert part(entry, "loss_range_unscaled")["estimate"] == pytest.approx(1.5)
    assert part(entry, "loss_range_ratio_unscaled")["estimate"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("linf", "expected"),
    [
        (Kind(rough=1.2), "reproduced"),
        (Kind(rough=0.6), "reproduced"),
        (Kind(rough=5.0), "not reproduced here"),
        (Kind(distance=0.2), "not reproduced here"),
        (Kind(rough=[1, 1, 5, 5, 5]), "undecided"),
        (Kind(diverged_at=700, diverged_seed=0), "undecided"),
    ],
)
def test_c16(linf: Kind, expected: str) -> None:
    norms = ("batch", "l1", "l2")
    cells = study({**{(norm, 0.1): Kind() for norm in norms}, ("linf", 0.1): linf})
    assert verdict("C16", cells)["verdict"] == expected


def test_c16_shows_the_deep_linear_network_and_the_limit_beside_it() -> None:
    norms = ("batch", "l1", "l2", "linf")
    deep = {(norm, 1e-6): Kind(near_beta=15.0 if norm == "linf" else 5.0) for norm in norms}
    entry = verdict("C16", study({(norm, 0.1): Kind() for norm in norms}, deep))
    assert entry["verdict"] == "reproduced"
    assert entry["artefacts"] == {
        "farthest_limit": "holds",
        "deep_linear_farthest": "fails",
        "deep_linear_farthest_limit": "fails",
    }


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (Kind(start=5.0, until=100, distance=0.5), "yes"),  # rougher at 0 and 100, smoother from 200
        (Kind(start=5.0, until=1500, distance=0.5), "no"),
        (Kind(start=5.0, distance=2.0), "no"),  # rougher throughout
        (Kind(start=1.0, distance=0.5), "no"),  # never the rougher one
        (Kind(start=5.0, until=[100, 100, 1500, 1500, 1500], distance=0.5), "undecided"),
    ],
)
def test_c24(batch: Kind, expected: str) -> None:
    assert verdict("C24", study({PLAIN: Kind(), BATCH: batch}))["verdict"] == expected


def test_c24_shows_the_start_and_each_quantitys_reversal() -> None:
    entry = verdict(
        "C24", study({PLAIN: Kind(), BATCH: Kind(start=5.0, until=100, distance=0.5, beta=5.0, near_beta=5.0)})
    )
    assert entry["estimate"] == 200.0
    assert part(entry, "start_distance")["estimate"] == pytest.approx(2.5)
    assert part(entry, "reversal_beta")["estimate"] == 200.0
    assert part(entry, "reversal_shift")["estimate"] is None  # the shift stays at its ratio of 1


def test_overflow_counts_as_larger_than_any_number() -> None:
    cells = study({PLAIN: Kind(rough=3.0), BATCH: Kind(rough=1.0)})
    frame = cells.measurements.copy()
    overflown = (frame["norm_layer"] == "none") & (frame["quantity"] == "loss_range_steps") & (frame["seed"] < 3)
    frame.loc[overflown, "value"] = math.nan  # the walk's loss was inf − inf
    entry = part(verdict("C9", dataclasses.replace(cells, measurements=frame)), "gradient")
    assert entry["verdict"] == "holds"
    assert entry["interval"] == [pytest.approx(3.0), None]
