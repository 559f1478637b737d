"""What parts of claims say that they lack, and where a claim has no number: windows that runs do not cover, layers and
rates that were not measured, and edges of what counts."""

from functools import cache
from typing import Any

import pytest
from tests.analysis.claims.judging import packaged
from tests.analysis.synthetic import Kind, study, theory_table

from normlab.analysis.cells import Cells
from normlab.analysis.claims.causal import associate
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.estimates import NotRunError, PerSeed, TooFewError, exact
from normlab.tables.frames import combine

NORMS = ("none", "batch", "noisy_batch", "noise", "l1", "l2", "linf")


@cache
def trained(steps: int) -> Cells:
    """One seed of every network, trained for so many steps."""
    deep = {(norm, rate): Kind() for norm in NORMS for rate in (1e-6, 1e-7)}
    kind = Kind(steps=steps, reach=1000.0)
    return study({(norm, 0.1): kind for norm in NORMS}, deep, seeds=1, theory=theory_table(seeds=1))


def parts(claim: str, cells: Cells) -> Any:
    return FUNCTIONS[claim](cells, **packaged()[claim].settings)


SHORT, LONG = "1,500 of 6,000 steps", "11,000 of 15,000 steps"
# at 1,500 steps of the 15,000: all that is about steps up to 6,000, but what is compared at equal accuracy of a walk
LACKS_AT_1500: dict[str, dict[str, str]] = {
    "C3": dict.fromkeys(("mean", "wasserstein", "relative_mean_conv", "variance_1"), SHORT),
    "C4": {"closer_area": SHORT, "better_area": SHORT, "gap_area": SHORT, "closer_steps": "", "closer_levels": ""},
    "C5": dict.fromkeys(("mean", "relative_mean_1", "mean_conv"), SHORT),
    "C7": dict.fromkeys(
        ("l2", "cosine", "relative", "l2_equal_accuracy", "cosine_equal_steps", "relative_equal_steps"), SHORT
    ),
    "C9": {
        **dict.fromkeys(("gradient", "equal_distance", "up_to_rate", "with_base_point", "penalized"), SHORT),
        "phase_1": "",
        "equal_accuracy": "",
    },
    "C10": {**dict.fromkeys(("gradient", "cosine", "equal_distance", "peak", "at_1"), SHORT), "equal_accuracy": ""},
    "C11": {
        **dict.fromkeys(("beta", "limit", "equal_distance", "at_0.25", "at_4"), SHORT),
        "early": "",
        "early_limit": "",
        "equal_accuracy": "",
    },
    "C13": dict.fromkeys(("loss_range", "distance_ratio", "beta_unscaled", "beta_ratio_unscaled"), SHORT),
    "C16": {
        **dict.fromkeys(("farthest", "farthest_limit", "l1_beta", "linf_limit", "l2_loss_range"), SHORT),
        **dict.fromkeys(("deep_linear_farthest", "l1_deep_linear_far", "l2_deep_linear_limit"), ""),
    },
    "C17": dict.fromkeys(("wasserstein", "l1_wasserstein", "linf_relative_mean_conv"), SHORT),
}
LACKS_AT_11000: dict[str, dict[str, str]] = {
    "C3": {"mean": "", "mean_conv": ""},
    "C7": {"l2": "", "cosine_equal_steps": ""},
    "C9": {"gradient": "", "phase_3": "", "phase_4": ""},
    "C11": {
        "beta": "",
        "at_1": "",
        **dict.fromkeys(("plateau_none", "plateau_batch", "stretch_none", "halved_none"), LONG),
    },
    "C12": dict.fromkeys(("near", "far", "limit", "edge_none", "edge_batch"), ""),
    "C16": {"farthest": "", "l1_limit": ""},
}


@pytest.mark.parametrize("claim", LACKS_AT_1500)
def test_of_short_runs_each_part_says_what_it_lacks(claim: str) -> None:
    found = parts(claim, trained(1500))
    assert {name: found[name]().lacks for name in LACKS_AT_1500[claim]} == LACKS_AT_1500[claim]


@pytest.mark.parametrize("claim", LACKS_AT_11000)
def test_of_longer_runs_the_late_parts_alone_lack_something(claim: str) -> None:
    found = parts(claim, trained(11_000))
    assert {name: found[name]().lacks for name in LACKS_AT_11000[claim]} == LACKS_AT_11000[claim]


def test_a_shallow_network_lacks_layers_and_its_own_stand_for_the_papers() -> None:
    """Layers 2, 9 and 13 of 13 are 2, 6 and 8 of 8, and the 11th is the 7th."""
    shallow = tuple(range(1, 9))
    kinds = {("none", 0.1): Kind(layers=shallow)}
    kinds |= {(norm, 0.1): Kind(layers=shallow) for norm in ("noisy_batch", "l1", "l2", "linf", "noise")}
    cells = study(kinds, seeds=1)
    rows = cells.measurements
    moved = (rows["norm_layer"] != "none") & rows["quantity"].astype(str).str.contains("mean")
    places = rows["layer"].astype(str).str.extract(r"(\d+)$")[0].astype(float)
    values = rows["value"].where(~moved | places.isna(), rows["value"] * (20 - places))
    cells = type(cells)(rows.assign(value=values), cells.theory, cells.spec)
    noisy, lp = parts("C5", cells)["mean"](), parts("C17", cells)["l1_relative_mean"]()
    assert (noisy.lacks, lp.lacks) == ("8 of 13 normalized layers", "8 of 13 normalized layers")
    assert noisy.values["value"].tolist() == pytest.approx([20 - 8])  # the least of three
    assert lp.values["value"].tolist() == pytest.approx([20 - 7])
    assert parts("C6", cells)["final"]().lacks == "8 of 13 normalized layers"
    assert parts("C6", trained(1500))["final"]().lacks == ""


def test_numbers_that_were_not_measured_say_which() -> None:
    cells = trained(1500)
    missing = {
        ("C11", "rate_moved_none"): "no second learning rate for norm_layer none",
        ("C11", "same_function"): "no run of the study reparametrization at this network and learning rate",
    }
    for (claim, name), message in missing.items():
        with pytest.raises(NotRunError, match=f"^{message}$"):
            parts(claim, cells)[name]()
    deep = FUNCTIONS["C8"](cells, learning_rates=(1e-6,), layers=(9, 10))
    with pytest.raises(NotRunError, match=r"^no covariate shift of layers\.linear10; measured: layers\.linear17, "):
        deep["none_1e-06_10"]()
    first = study({(norm, 0.1): Kind(layers=(1,)) for norm in NORMS[:2]}, seeds=1)
    with pytest.raises(NotRunError, match=r"have no layer in common that has one before it$"):
        parts("C7", first)["l2_equal_steps"]()


def test_an_equal_loss_is_not_below_it() -> None:
    kinds = {"none": Kind(), "batch": Kind(loss=50.0), "l1": Kind(loss=(50.0, 49.0, 51.0))}
    cells = study(deep_linear={(norm, 1e-6): kind for norm, kind in kinds.items()}, seeds=3)
    found = parts("C15", cells)["l1_share"]()
    assert found.values["value"].tolist() == [0.0, 1.0, 0.0]
    assert found.kind == "share"


def test_cosines_and_shares_have_their_limits() -> None:
    cells = trained(1500)
    found = parts("C8", cells)
    assert (found["none_least"]().limits, found["batch_most"]().limits) == ((-1.0, 1.0), (0.0, 1.0))
    assert found["batch_1e-07_17"]().limits == (-1.0, 1.0)
    for claim, names in (
        ("C19", ("rayleigh_trained", "b_trained")),
        ("C22", ("weakest", "overlap_at_start", "usable")),
    ):
        assert {parts(claim, cells)[name]().limits for name in names} == {(0.0, 1.0)}


def _cells_of(seeds: dict[str, int]) -> Cells:
    frames = [study({(norm, 0.1): Kind()}, seeds=count).measurements for norm, count in seeds.items()]
    first = study({("none", 0.1): Kind()}, seeds=1)
    return type(first)(combine(frames), first.theory, first.spec)


def test_an_association_has_as_many_cells_as_were_asked_for_and_the_fewest_seeds() -> None:
    cells = _cells_of({"none": 3, "batch": 2, "noise": 4})

    def measure(cell: Any) -> PerSeed:
        return exact(dict.fromkeys(cell.seeds, float(len(cell.seeds))))

    chosen = list(cells.all.values())
    found = associate(chosen, measure, 0.9, 1, 3)
    assert found.seeds == 2
    assert sorted(zip(found.normalizers, found.x, strict=True)) == [("batch", 2.0), ("noise", 4.0), ("none", 3.0)]
    assert list(found.rates) == [0.1] * 3
    with pytest.raises(TooFewError, match=r"^3 of 4 cells$"):
        associate(chosen, measure, 0.9, 1, 4)
