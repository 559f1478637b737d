import dataclasses

import pytest
from tests.analysis.claims.judging import part, verdict
from tests.analysis.synthetic import Kind, study

from normlab.tables.frames import as_categories

PLAIN, BATCH = ("none", 0.1), ("batch", 0.1)
CONTRADICTED = "contradicted by the paper's own data"


def test_c3_is_contradicted_by_figure_8_and_is_measured_where_nothing_is_fixed_by_construction() -> None:
    entry = verdict("C3", study({PLAIN: Kind(move=97.0, move_conv=1.2), BATCH: Kind()}))
    assert (entry["verdict"], entry["estimate"]) == (CONTRADICTED, pytest.approx(1.2, rel=1e-12))
    assert (entry["paper"]["part"], entry["paper"]["passes"]) == ("mean", False)
    assert part(entry, "mean")["estimate"] == pytest.approx(97.0, rel=1e-12)


@pytest.mark.parametrize(
    ("move", "expected"), [(1.2, "holds"), (0.8, "holds"), (10.0, "fails"), (0.1, "fails"), (3.0, "undecided")]
)
def test_c3_by_its_deciding_part(move: float, expected: str) -> None:
    entry = verdict("C3", study({PLAIN: Kind(move_conv=move), BATCH: Kind()}))
    assert entry["parts"][0]["name"] == "relative_mean_conv"
    assert entry["parts"][0]["verdict"] == expected


def test_c3_with_a_diverged_seed_does_not_call_it_stable() -> None:
    gone = Kind(move_conv=1.0, diverged_at=700, diverged_seed=1)
    entry = verdict("C3", study({PLAIN: Kind(move_conv=1.0), BATCH: gone}))
    assert entry["parts"][0]["per_seed"]["1"] == 0.0  # 1/∞
    assert entry["parts"][0]["verdict"] == "undecided"


def test_c7_knows_nothing_of_a_diverged_seed_at_equal_loss_and_calls_it_shifted_at_equal_steps() -> None:
    gone = Kind(shift=0.1, diverged_at=4000, diverged_seed=1)
    entry = verdict("C7", study({PLAIN: Kind(), BATCH: gone}))
    assert part(entry, "l2")["per_seed"]["1"] is None
    assert part(entry, "l2")["verdict"] == "undecided"
    assert part(entry, "l2_equal_steps")["interval"][1] is None  # ∞: no reduction
    assert part(entry, "cosine_equal_steps")["per_seed"]["1"] == pytest.approx(-1.5)


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (4.0, "reproduced"),
        (1.5, "direction only"),
        (0.5, "not reproduced here"),
        ([0.5, 0.5, 4, 4, 4], "undecided"),
    ],
)
def test_c5(move: float | list[float], expected: str) -> None:
    cells = study({PLAIN: Kind(move=1.0), ("noisy_batch", 0.1): Kind(move=move)})
    assert verdict("C5", cells)["verdict"] == expected


def test_c5_of_a_shallow_network_is_another_question() -> None:
    shallow = tuple(range(1, 9))
    cells = study({PLAIN: Kind(layers=shallow), ("noisy_batch", 0.1): Kind(move=4.0, layers=shallow)})
    entry = verdict("C5", cells)
    assert (entry["verdict"], entry["reason"]) == ("undecided", "8 of 13 normalized layers")
    assert entry["estimate"] == pytest.approx(4.0)


LP = {("l1", 0.1): Kind(move_conv=2.0), ("l2", 0.1): Kind(move_conv=2.0)}


@pytest.mark.parametrize("claim", ["C5", "C6", "C17"])
def test_layers_are_known_by_their_place_whatever_they_are_called(claim: str) -> None:
    """Someone else's network calls them blocks.0.norm, blocks.1.norm, …: no number of theirs is the paper's."""
    depth = tuple(range(1, 14))
    kinds = {norm: Kind(layers=depth, move_conv=2.0) for norm in LP} | {
        ("linf", 0.1): Kind(layers=depth, move_conv=3.0)
    }
    kinds |= {PLAIN: Kind(layers=depth), ("noisy_batch", 0.1): Kind(layers=depth, move=4.0)}
    cells = study(kinds | {("noise", 0.1): Kind(layers=depth, final=0.1)})
    layers = cells.measurements["layer"].astype(str)
    renamed = layers.str.replace(r"^features\.(\D+)(\d+)$", lambda m: f"blocks.{14 - int(m[2])}.{m[1]}1", regex=True)
    other = dataclasses.replace(cells, measurements=as_categories(cells.measurements.assign(layer=renamed)))
    assert verdict(claim, other) == verdict(claim, cells)
    assert verdict(claim, cells)["verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("linf", "expected"),
    [(3.0, "reproduced"), (0.5, "not reproduced here"), ([0.5, 2, 2, 2, 0.5], "undecided")],
)
def test_c17(linf: float | list[float], expected: str) -> None:
    assert verdict("C17", study({PLAIN: Kind(), **LP, ("linf", 0.1): Kind(move_conv=linf)}))["verdict"] == expected


def test_c17_is_not_decided_where_the_answer_is_fixed_by_construction() -> None:
    """After the normalizer the mean over a batch is β: there every ℓp looks ten times steadier."""
    kinds = {norm: Kind(move=0.1, move_conv=2.0) for norm in (*LP, ("linf", 0.1))}
    entry = verdict("C17", study({PLAIN: Kind(), **kinds}))
    assert entry["verdict"] == "reproduced"
    assert part(entry, "relative_mean")["estimate"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (Kind(shift=2.0, cosine=0.2), "reproduced"),
        (Kind(shift=1.0, cosine=0.5), "reproduced"),  # as much as without: not reduced
        (Kind(shift=0.5, cosine=0.2), "not reproduced here"),
        (Kind(shift=[0.5, 0.5, 2, 2, 2]), "undecided"),
    ],
)
def test_c7(batch: Kind, expected: str) -> None:
    assert verdict("C7", study({PLAIN: Kind(shift=1.0, cosine=0.5), BATCH: batch}))["verdict"] == expected


def test_c7_leaves_out_the_first_layer_and_step_0() -> None:
    entry = verdict("C7", study({PLAIN: Kind(shift=1.0), BATCH: Kind(shift=2.0, start=50.0)}))
    for name in ("l2", "l2_equal_accuracy", "l2_equal_steps"):  # the first layer's 0/0 and the start would both move it
        assert part(entry, name)["estimate"] == pytest.approx(2.0, rel=1e-12)


def test_c7_matches_networks_of_different_speed() -> None:
    entry = verdict("C7", study({PLAIN: Kind(reach=12_000), BATCH: Kind(reach=6000, shift=2.0, cosine=0.9)}))
    assert part(entry, "l2")["estimate"] == pytest.approx(2.0, rel=1e-12)
    assert part(entry, "cosine")["estimate"] == pytest.approx(0.4, rel=1e-12)
    assert entry["artefacts"] == {"cosine": "fails", "relative": "holds"}


def test_c7_knows_nothing_of_a_seed_of_which_one_layer_has_no_cosine() -> None:
    cells = study({PLAIN: Kind(cosine=0.5, layers=(1, 2, 3)), BATCH: Kind(cosine=0.3, layers=(1, 2, 3))})
    rows = cells.measurements
    hidden = (rows["norm_layer"] == "batch") & (rows["seed"] == 1) & (rows["quantity"] == "cosine")
    hidden &= rows["layer"] == "features.conv3"
    assert hidden.any()
    values = rows["value"].mask(hidden)
    entry = verdict("C7", dataclasses.replace(cells, measurements=rows.assign(value=values)))
    seeds = part(entry, "cosine_equal_steps")["per_seed"]
    assert seeds["1"] is None  # the mean of the others would be another quantity
    assert seeds["0"] == pytest.approx(-0.2, rel=1e-9)
