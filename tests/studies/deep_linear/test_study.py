"""A whole cell against a loop over one module, and the promises of the study."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.studies.deep_linear.conftest import build_instance
from tests.studies.deep_linear.twin import descent

from normlab.runs.resume import ResumePoints
from normlab.specs.dln import DlnCell, DlnScanSpec, DlnSpec
from normlab.specs.parts import names
from normlab.studies.deep_linear import study
from normlab.studies.deep_linear.scan import scan_rates
from normlab.studies.deep_linear.study import diverged_at, run_cell
from normlab.tables.rows import COLUMNS

SPEC = DlnSpec(
    depth=3,
    features=3,
    samples=20,
    seeds=(0, 7),
    steps=8,
    affine=True,
    eps=1e-5,
    loss_every=3,
    probe_every=2,
    control_every=4,
    sharpness_every=4,
    histogram_every=8,
    step_sizes=(0.1, 1.0),
    extra_step_sizes=(0.05,),
    distances=(0.01,),
    relative_steps=(0.02,),
    shift_layers=(1, 3),
    activation_layers=(1, 2),
)
RATE = 2e-3


def series(frame: pd.DataFrame, seed: int, probe: str, quantity: str, layer: str = "") -> pd.Series:
    rows = frame[(frame["seed"] == seed) & (frame["probe"] == probe) & (frame["quantity"] == quantity)]
    return rows[(rows["layer"] == layer) & rows["step_size"].isna()].set_index("step")["value"]


@pytest.mark.parametrize("norm_layer", names("scale"))
def test_losses_are_those_of_plain_gradient_descent(norm_layer):
    frame, _ = run_cell(SPEC, DlnCell(norm_layer, RATE))
    losses = descent(build_instance(norm_layer, depth=3).network, 7, 9, RATE)
    recorded = series(frame, 7, "history", "loss")
    assert recorded.index.tolist() == list(range(9))
    # eight steps of a smooth descent amplify roundoff little
    np.testing.assert_allclose(recorded, losses, rtol=1e-9)


def test_every_measurement_is_there_when_it_is_due():
    frame, histograms = run_cell(SPEC, DlnCell("l1", RATE))
    assert tuple(frame.columns) == COLUMNS
    assert not frame.duplicated(list(COLUMNS[:-1])).any()
    steps = {
        ("landscape", "effective_beta", ""): [0, 2, 4, 6, 8],
        ("shift", "cosine", "layers.linear3"): [0, 2, 4, 6, 8],
        ("curvature", "stretch", ""): [0, 2, 4, 6, 8],
        ("curvature", "top_eigenvalue", ""): [0, 4, 8],
        ("activations", "mean_abs_change_1", "layers.norm2"): [0, 2, 4, 6, 8],
        ("activations", "wasserstein", "layers.norm1"): [2, 4, 6, 8],
        ("activations_fixed", "wasserstein", "layers.linear1"): [2, 4, 6, 8],
        ("landscape_random", "loss_range", ""): [0, 4, 8],
        ("landscape_equal_distance", "effective_beta", ""): [0, 4, 8],
        ("landscape_relative", "effective_beta", ""): [0, 4, 8],
        ("gradients", "layer_grad_norm", "layers.linear2"): [0, 4, 8],
        ("weights", "effective_rate", "layers.linear2"): [0, 4, 8],
        ("summary", "diverged_at", ""): [8],
        ("structure", "place", "layers.norm2"): [0],
    }
    for (probe, quantity, layer), due in steps.items():
        assert series(frame, 0, probe, quantity, layer).index.tolist() == due, (probe, quantity)
    places = frame[frame["probe"] == "structure"].drop_duplicates("layer").set_index("layer")["value"]
    assert places.to_dict() == {"layers.linear1": 1, "layers.linear2": 2, "layers.linear3": 3} | {
        "layers.norm1": 1, "layers.norm2": 2
    }  # fmt: skip
    assert histograms["step"].unique().tolist() == [0, 8]
    sizes = frame[(frame["probe"] == "landscape") & (frame["quantity"] == "beta")]["step_size"].unique()
    # products of the rate and the relative sizes
    np.testing.assert_allclose(sorted(sizes), [0.05 * RATE, 0.1 * RATE, RATE], rtol=1e-14)
    distances = frame[(frame["probe"] == "landscape_equal_distance") & (frame["quantity"] == "beta")]["step_size"]
    assert distances.unique().tolist() == [0.01]
    shares = frame[(frame["probe"] == "landscape_relative") & (frame["quantity"] == "beta")]["step_size"]
    assert shares.unique().tolist() == [0.02]
    weights = [series(frame, 7, "weights", name, "layers.linear2") for name in ("weight_norm", "effective_rate")]
    np.testing.assert_allclose(weights[1], RATE / weights[0] ** 2, rtol=1e-14)


@pytest.mark.parametrize(("first", "every", "kept"), [(3, 3, [0, 1, 2, 3, 6, 8]), (2, 5, [0, 1, 5, 8])])
def test_losses_are_kept_at_the_first_steps_then_now_and_then_and_at_the_end(first, every, kept, monkeypatch):
    monkeypatch.setattr(study, "FIRST_STEPS", first)
    rare = {"probe_every": 8, "control_every": 8, "sharpness_every": 8, "histogram_every": 8}
    frame, _ = run_cell(dataclasses.replace(SPEC, loss_every=every, seeds=(7,), **rare), DlnCell("none", RATE))
    for quantity in ("loss", "grad_norm"):
        assert series(frame, 7, "history", quantity).index.tolist() == kept


def test_the_summary_is_over_the_papers_grid_alone():
    frame, _ = run_cell(SPEC, DlnCell("batch", RATE))
    betas = frame[(frame["probe"] == "landscape") & (frame["quantity"] == "beta") & (frame["seed"] == 0)]
    on_grid = betas[betas["step_size"] > 0.09 * RATE].groupby("step")["value"].max()
    assert series(frame, 0, "landscape", "effective_beta").equals(on_grid.rename("value"))


def test_the_gradient_step_ties_the_probes_together():
    """At step size = learning rate the walk's end is the next step, and its stretch the limit of beta."""
    dense = dataclasses.replace(SPEC, probe_every=1, step_sizes=(1e-6, 1.0), extra_step_sizes=())
    frame, _ = run_cell(dense, DlnCell("l2", RATE))
    losses = series(frame, 7, "history", "loss")
    rows = frame[(frame["probe"] == "landscape") & (frame["seed"] == 7) & (frame["step_size"] == RATE)]
    ends = rows[rows["quantity"] == "loss"].set_index("step")["value"]
    # the same point, evaluated in another batch
    np.testing.assert_allclose(ends[:8], losses[1:], rtol=1e-12)
    small = frame[(frame["probe"] == "landscape") & (frame["seed"] == 7) & (frame["step_size"] == 1e-6 * RATE)]
    limit = small[small["quantity"] == "beta"].set_index("step")["value"]
    # a forward difference over 1e-6 of a step: the error is of that order
    np.testing.assert_allclose(limit, series(frame, 7, "curvature", "stretch"), rtol=1e-4)


def test_measuring_changes_nothing_and_a_seed_is_the_same_in_any_company():
    often, _ = run_cell(SPEC, DlnCell("linf", RATE))
    sparse = dataclasses.replace(SPEC, probe_every=8, control_every=8, sharpness_every=8)
    seldom, _ = run_cell(sparse, DlnCell("linf", RATE))
    alone, _ = run_cell(dataclasses.replace(SPEC, seeds=(7,)), DlnCell("linf", RATE))
    expected = series(often, 7, "history", "loss")
    assert series(seldom, 7, "history", "loss").equals(expected)
    # another batch size may choose another kernel: equal up to roundoff
    np.testing.assert_allclose(series(alone, 7, "history", "loss"), expected, rtol=1e-9)


def test_a_cell_that_diverges_says_when_and_keeps_its_values():
    frame, histograms = run_cell(SPEC, DlnCell("none", 1e3))
    losses = series(frame, 0, "history", "loss")
    ended = series(frame, 0, "summary", "diverged_at")[8]
    assert np.isfinite(losses[losses.index < ended]).all()
    assert not np.isfinite(losses[losses.index >= ended]).any()
    assert series(frame, 0, "curvature", "top_eigenvalue").isna()[8]
    assert histograms["step"].unique().tolist() == [0]


def test_diverged_at():
    losses = torch.tensor([[1.0, 1.0, 1.0], [2.0, math.inf, 1.0], [3.0, math.nan, math.nan]])
    found = diverged_at(losses)
    assert found[0].isnan()
    assert found[1:].tolist() == [1.0, 2.0]


def test_scan_runs_are_those_of_the_study():
    scan = DlnScanSpec(norm_layer=("batch",), learning_rate=(RATE, 1e-4, 1e9), steps=8, loss_every=3)
    frame = scan_rates(SPEC, scan, "batch")
    assert set(frame["study"]) == {"dln_scan"}
    for rate in (RATE, 1e-4):
        cell, _ = run_cell(SPEC, DlnCell("batch", rate))
        rows = frame[(frame["learning_rate"] == rate) & (frame["quantity"] == "loss") & (frame["seed"] == 7)]
        assert rows["step"].tolist() == [0, 3, 6, 8]
        # another number of runs in the batch
        np.testing.assert_allclose(rows["value"], series(cell, 7, "history", "loss")[rows["step"]], rtol=1e-9)
    summary = frame[(frame["quantity"] == "diverged_at") & (frame["learning_rate"] == RATE)]
    assert summary["value"].isna().all()


class Stopped(Exception):
    """The end of a process."""


def test_a_cell_stopped_at_any_step_goes_on_to_the_same_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "half"
    folder.mkdir()
    whole = run_cell(SPEC, DlnCell("l1", RATE))

    def stop_at(last):
        def on_step(step):
            if step == last:
                raise Stopped

        return on_step

    for last in range(1, SPEC.steps + 1):
        said = []
        first, second = (ResumePoints(Path("out"), folder, {}, interval=0.0, say=said.append) for _ in range(2))
        with pytest.raises(Stopped):
            run_cell(SPEC, DlnCell("l1", RATE), stop_at(last), first)
        again = run_cell(SPEC, DlnCell("l1", RATE), resume=second)
        second.remove()
        assert said == [f"out: goes on from step {last}, where it was stopped"]
        for found, expected in zip(again, whole, strict=True):
            pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("text", ["affine=false", "last_layer=true", "affine=false,last_layer=true"])
def test_a_variant_is_the_study_with_other_settings(text):
    affine, last_layer = "affine=false" not in text, "last_layer=true" in text
    frame, histograms = run_cell(SPEC, DlnCell("batch", RATE, text))
    settings = dataclasses.replace(SPEC, affine=affine, last_layer=last_layer)
    expected, _ = run_cell(settings, DlnCell("batch", RATE))
    assert set(frame["variant"]) == set(histograms["variant"]) == {text}
    assert frame.drop(columns="variant").equals(expected.drop(columns="variant"))
    shared, _ = run_cell(SPEC, DlnCell("batch", RATE))
    assert not series(frame, 7, "history", "loss").equals(series(shared, 7, "history", "loss"))
