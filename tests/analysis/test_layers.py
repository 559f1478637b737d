"""Quantities that every layer has, against numbers by hand."""

import math

import pandas as pd
import pytest

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError
from normlab.analysis.layers import depth_slope, layer_fold, layer_means, smallest, typical_layer
from normlab.tables.rows import Rows


def cell_of(norms: dict[int, list[float]], step: int = 0) -> Cell:
    """Gradient norms of the layers by seed, from the input on."""
    frames = []
    for seed, values in norms.items():
        run = {"study": "vgg", "network": "vgg11", "norm_layer": "none", "learning_rate": 0.1, "seed": seed}
        rows = Rows(run)
        for layer, value in enumerate(values, start=1):
            rows.add("gradients", step, {"layer_grad_norm": value}, layer=f"features.conv{layer}")
            rows.add("gradients", step + 5, {"layer_grad_norm": 1.0}, layer=f"features.conv{layer}")
        frames.append(rows.frame())
    return Cell("vgg11", "none", 0.1, pd.concat(frames))


def test_gradients_that_double_with_each_layer_toward_the_input_grow_by_log_2() -> None:
    found = depth_slope(cell_of({0: [8.0, 4.0, 2.0, 1.0], 1: [1.0, 3.0, 9.0], 2: [4.0, 0.0, 1.0, math.inf]})).values
    assert found["value"].loc[0] == pytest.approx(math.log(2), rel=1e-12)
    assert found["value"].loc[1] == pytest.approx(-math.log(3), rel=1e-12)  # they vanish
    assert found["value"].loc[2] == pytest.approx(math.log(2), rel=1e-12)  # two layers apart; 0 and inf have no log


def test_without_a_measurement_at_step_0_there_is_no_slope() -> None:
    with pytest.raises(NotRunError, match=r"no gradient norms at step 0 in vgg11-none-0\.1"):
        depth_slope(cell_of({0: [8.0, 4.0]}, step=3))
    for norms in ([8.0, 0.0], [0.0, 0.0], [math.inf, math.nan]):  # one layer is none, and none is none
        assert math.isnan(depth_slope(cell_of({0: norms})).values["value"].get(0, math.nan))


STEPS = (0, 1, 3, 7)  # after step 0 they stand for 2, 3 and 4 steps
NAN, INF = math.nan, math.inf


def shifts(values: dict[int, dict[str, tuple[float, ...]]], norm_layer: str = "none") -> Cell:
    """Values at `STEPS` of the layers by seed."""
    frames = []
    for seed, layers in values.items():
        rows = Rows({"study": "vgg", "network": "vgg11", "norm_layer": norm_layer, "learning_rate": 0.1, "seed": seed})
        for layer, curve in layers.items():
            for step, value in zip(STEPS, curve, strict=True):
                rows.add("shift", step, {"relative_l2": value}, layer=layer)
        frames.append(rows.frame())
    return Cell("vgg11", norm_layer, 0.1, pd.concat(frames))


TOP = shifts(
    {
        0: {"c": (9.0, 9.0, 1.0, 0.0), "a": (90.0, 1.0, 1.0, 1.0), "b": (90.0, 4.0, NAN, 1.0)},
        1: {"c": (9.0, 4.0, 4.0, 4.0), "a": (90.0, 6.0, 2.0, 0.0), "b": (90.0, 8.0, 8.0, 8.0)},
        2: {"c": (9.0, 4.0, 4.0, 4.0), "a": (90.0, 3.0, 3.0, 3.0), "b": (9.0, INF, INF, INF)},
    }
)
# c, a, b of each seed
MEANS = {0: (21 / 9, 1.0, 12 / 6), 1: (4.0, 2.0, 8.0), 2: (4.0, 3.0, INF)}


def test_a_layer_without_a_value_in_one_seed_is_undefined_there_alone() -> None:
    never = (NAN, NAN, NAN, NAN)  # no gradient reaches it
    cell = shifts(
        {0: {"a": (9.0, 1.0, 1.0, 1.0), "b": never}, 1: {"a": (9.0, 2.0, 2.0, 2.0), "b": (9.0, 4.0, 4.0, 4.0)}}
    )
    found = layer_means(cell, "shift", "relative_l2", ["b", "a"])
    assert found.loc[1].tolist() == [4.0, 2.0]
    assert (math.isnan(found.loc[0, "b"]), found.loc[0, "a"]) == (True, 1.0)
    typical = typical_layer(cell, "shift", "relative_l2").values["value"]
    assert (math.isnan(typical.loc[0]), typical.loc[1]) == (True, 3.0)
    both = layer_fold(cell, cell, "shift", "relative_l2").values["value"]
    assert (math.isnan(both.loc[0]), both.loc[1]) == (True, 1.0)


def test_means_are_over_the_steps_after_the_first_each_by_those_it_stands_for() -> None:
    found = layer_means(TOP, "shift", "relative_l2", ["c", "a", "b"])
    assert list(found.columns) == ["c", "a", "b"]
    for seed, expected in MEANS.items():
        assert found.loc[seed].tolist() == pytest.approx(expected, rel=1e-12)
    everything = layer_means(TOP, "shift", "relative_l2")
    assert sorted(everything.columns) == ["a", "b", "c"]
    assert everything.loc[1, "a"] == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize(("later", "expected"), [(False, {0: 2.0, 1: 4.0, 2: 4.0}), (True, {0: 1.5, 1: 5.0, 2: INF})])
def test_the_typical_layer_is_the_middle_one_of_all_or_of_those_behind_the_first(
    later: bool, expected: dict[int, float]
) -> None:
    found = typical_layer(TOP, "shift", "relative_l2", later=later).values["value"]
    assert found.to_dict() == pytest.approx(expected, rel=1e-12)
    alone = shifts({0: {"a": (1.0, 2.0, 2.0, 2.0)}})
    if later:
        with pytest.raises(NotRunError, match=r"no layer of vgg11-none-0\.1 that has one before it"):
            typical_layer(alone, "shift", "relative_l2", later=True)
    else:
        assert typical_layer(alone, "shift", "relative_l2").values["value"].tolist() == [2.0]


@pytest.mark.parametrize(("later", "power", "product"), [(False, 1 / 3, 2.0 * 4.0 * 0.5), (True, 1 / 2, 4.0 * 0.5)])
def test_a_fold_over_layers_is_their_geometric_mean_on_the_seeds_of_both(
    later: bool, power: float, product: float
) -> None:
    twos, ones, fours = ((1.0, value, value, value) for value in (2.0, 0.5, 16.0))
    layers = {"c": twos, "a": ones, "b": fours, "d": ones}
    bottom = shifts({3: layers, 2: {**layers, "b": (1.0, INF, INF, INF)}, 1: layers}, "batch")
    found = layer_fold(TOP, bottom, "shift", "relative_l2", later=later).values
    assert list(found.index) == [1, 2]
    assert found.loc[1].tolist() == pytest.approx([product**power] * 3, rel=1e-12)
    assert found.loc[2, ["low", "high"]].tolist() == [0.0, math.inf]  # inf/inf in b


def test_cells_without_a_layer_or_a_seed_in_common_are_not_compared() -> None:
    curve = (1.0, 2.0, 2.0, 2.0)
    for other in (shifts({0: {"d": curve}}, "batch"), shifts({5: {"a": curve}}, "batch")):
        with pytest.raises(NotRunError, match=r"^vgg11-none-0\.1 and vgg11-batch-0\.1 have no layer or seed in common"):
            layer_fold(TOP, other, "shift", "relative_l2")


def test_the_smallest_ratio_of_any_layer_is_unknown_where_one_is() -> None:
    found = smallest(pd.DataFrame({"a": {0: 2.0, 1: 2.0}, "b": {0: 0.5, 1: NAN}})).values
    assert found.loc[0].tolist() == [0.5, 0.5, 0.5]
    assert found.loc[1, ["low", "high"]].tolist() == [0.0, math.inf]
