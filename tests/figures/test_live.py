"""Interactive figures: run by run the numbers of the table, thinned, with the paper's curves where they fit."""

import json

import numpy as np
import pandas as pd
from tests.figures import runs

from normlab.figures import live
from normlab.figures.live import DEEP_LINEAR, DIGITS, LANDSCAPE, POINTS, TRAINING, live_data, of_layers

VGG = runs.measurements(kinds=("none", "batch", "l1"), rates=(0.1, 0.5), seeds=2)
VGG = VGG[VGG["study"] == "vgg"]
HISTORY = VGG[VGG["probe"].isin(["history", "test"])]
WALKS = VGG[VGG["probe"] == "landscape"]


def run(data: dict, **keys: object) -> dict:
    (found,) = [run for run in data["runs"] if all(run[key] == value for key, value in keys.items())]
    return found


def test_every_run_is_there_with_its_numbers() -> None:
    data = live_data(WALKS, LANDSCAPE, 0.1, ["none", "batch"])
    assert {(one["kind"], one["rate"], one["seed"]) for one in data["runs"]} == {
        (kind, rate, seed) for kind in ("none", "batch", "l1") for rate in (0.1, 0.5) for seed in (0, 1)
    }
    beta = run(data, panel=2, kind="batch", rate=0.5, seed=1)
    assert beta["x"] == list(runs.PROBED)
    expected = [runs.effective_beta("batch", 0.5, 1, step) for step in runs.PROBED]
    np.testing.assert_allclose(beta["low"], expected, rtol=10.0 ** (1 - DIGITS))
    assert "high" not in beta
    band = run(data, panel=0, kind="none", rate=0.1, seed=0)
    assert all(low < high for low, high in zip(band["low"], band["high"], strict=True))
    assert (data["shown"], data["rate"]) == (["none", "batch"], 0.1)
    assert [kind["label"] for kind in data["kinds"]] == ["none (plain)", "BatchNorm", "ℓ1"]


def test_accuracies_are_percent_smoothed_and_the_axis_by_accuracy_is_the_same_run_s() -> None:
    window = 5
    data = live_data(HISTORY, TRAINING, 0.1, ["none"], history=HISTORY, window=window)
    train = run(data, panel=0, kind="none", rate=0.1, seed=1)
    last = [runs.accuracy("none", 0.1, 1, step) for step in train["x"]][-window:]
    np.testing.assert_allclose(train["low"][-1], 100 * np.mean(last), rtol=1e-3)
    assert train["progress"] == train["low"]
    test = run(data, panel=1, kind="none", rate=0.1, seed=1)
    places = [train["x"].index(step) for step in test["x"] if step in train["x"]]
    assert [test["progress"][test["x"].index(train["x"][place])] for place in places] == [
        train["low"][place] for place in places
    ]


def test_the_loss_of_a_walk_is_not_the_loss_of_training() -> None:
    data = live_data(pd.concat([HISTORY, WALKS]), TRAINING[2:], 0.1, ["none"])
    assert (
        len(run(data, kind="none", rate=0.1, seed=0)["x"])
        == HISTORY.loc[HISTORY["quantity"] == "loss", "step"].nunique()
    )


def test_long_runs_are_thinned_and_keep_their_ends() -> None:
    one = HISTORY[(HISTORY["norm_layer"] == "none") & (HISTORY["quantity"] == "loss") & (HISTORY["seed"] == 0)]
    one = one[one["learning_rate"] == 0.1].iloc[:1]
    long = pd.concat([one.assign(step=step, value=1.0 + step) for step in range(10 * POINTS)])
    (found,) = live_data(long, TRAINING[2:], 0.1, ["none"])["runs"]
    assert len(found["x"]) == POINTS
    assert (found["x"][0], found["x"][-1]) == (0, 10 * POINTS - 1)
    assert found["low"][-1] == 10.0 * POINTS


def test_what_is_not_finite_is_kept_as_missing() -> None:
    broken = WALKS.copy()
    broken.loc[(broken["quantity"] == "effective_beta") & (broken["step"] == 10), "value"] = np.inf
    data = live_data(broken, LANDSCAPE, 0.1, ["none"])
    assert run(data, panel=2, kind="none", rate=0.1, seed=0)["low"][list(runs.PROBED).index(10)] is None
    json.dumps(data, allow_nan=False)


def test_layers_are_those_of_the_paper_and_its_curves_lie_on_the_same_layer_alone() -> None:
    shift = VGG[VGG["probe"] == "shift"]
    panels = of_layers(shift, ["l2", "cosine"], (5, 10))
    assert [panel.log for panel in panels] == [True, True, False, False]
    assert all(panel.layer in set(shift["layer"]) for panel in panels)
    assert all(panel.paper_layer in (None, 5, 10) for panel in panels)
    assert not [panel for panel in panels if panel.quantity == "l2" and panel.paper_layer == 10]


def test_the_paper_s_curves_are_there_where_they_can_be_compared() -> None:
    assert live_data(WALKS, LANDSCAPE, 0.1, ["none"], paper_figure=4)["paper"] == []  # 60 steps are too few
    longer = WALKS.assign(step=100 * WALKS["step"])
    curves = live_data(longer, LANDSCAPE, 0.1, ["none"], paper_figure=4)["paper"]
    assert {(curve["panel"], curve["kind"]) for curve in curves} == {
        (panel, kind) for panel in range(3) for kind in ("none", "batch")
    }
    assert all(len(curve["x"]) <= POINTS and max(curve["x"]) <= 6000 for curve in curves)
    assert live_data(longer, LANDSCAPE, 0.5, ["none"], paper_figure=4)["paper"] == []


def test_a_study_that_has_none_of_it_has_no_interactive_figure() -> None:
    assert live_data(WALKS.iloc[:0], LANDSCAPE, 0.1, ["none"]) == {}
    assert live_data(HISTORY, LANDSCAPE[2:], 0.1, ["none"]) == {}
    deep = runs.measurements()
    deep = deep[(deep["study"] == "dln") & deep["probe"].isin(["history", "landscape"])]
    panels = {one["panel"] for one in live_data(deep, DEEP_LINEAR, 1e-6, ["none"])["runs"]}
    assert panels == {0, 1, 2, 3}


def test_whole_numbers_have_no_point_and_what_is_not_finite_is_nothing() -> None:
    """A panel of four normalizers and ten seeds was 0.37 MB of a page's 1.5."""
    values = live._numbers(pd.Series([91894.0, 0.123456, 1.0, np.inf, np.nan, 1e20]))
    assert json.dumps(values) == "[91890, 0.1235, 1, null, null, 1e+20]"
