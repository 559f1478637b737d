"""The stage programs train and probe, as DVC runs them, on a tiny real data set."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests import tiny

from normlab.runs import prepared
from normlab.runs.checkpoint import Checkpoint, checkpoint_path, save_checkpoint
from normlab.specs.grid import planned_runs
from normlab.specs.strict import InputError, load_params
from normlab.stages import command, probe, train
from normlab.stages import data as prepare_data
from normlab.tables.frames import HISTOGRAM_COLUMNS, combine, select
from normlab.tables.rows import COLUMNS
from normlab.tables.stage_outputs import read_training_study

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data") / "prepared")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(tiny.PARAMS)


def _train(data: Path, out: str, norm_layer: str = "batch", learning_rate: str = "0.1", *more: str) -> Path:
    point = ["--network", "vgg11", "--norm-layer", norm_layer, "--learning-rate", learning_rate, "--seed", "0"]
    train.main(["--data", str(data), *point, *more, "--out", out])
    return Path(out)


def _probe(data: Path, run: Path, out: str) -> Path:
    probe.main(["--data", str(data), "--run", str(run), "--out", out])
    return Path(out)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_outputs_are_complete_and_byte_stable(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _train(data, "models/runs/a", "noisy_batch")
    printed = capsys.readouterr().out
    assert "parameters, about" in printed
    assert "5 checkpoints of" in printed
    assert _bytes(run) == _bytes(_train(data, "models/runs/b", "noisy_batch"))
    summary = json.loads((run / "summary.json").read_text())
    assert summary["checkpoints"] == [0, 1, 2, 4, 6]
    assert summary["diverged_at"] is None
    times = pd.read_csv("logs/wall-times/vgg11-noisy_batch-0.1-0.csv")
    assert list(times["step"]) == list(range(6))
    probes = _probe(data, run, "data/probes/a")
    assert _bytes(probes) == _bytes(_probe(data, run, "data/probes/b"))
    assert not list(Path().rglob("*.partial"))


def test_measurements_are_tidy_and_about_the_step_that_training_made(data: Path) -> None:
    run = _train(data, "models/runs/a")
    frame = pd.read_parquet(_probe(data, run, "data/probes/a") / "probes.parquet")
    assert tuple(frame.columns) == COLUMNS
    keys = ["probe", "layer", "step_size", "step", "batch", "quantity"]
    assert not frame.duplicated(keys).any()
    assert set(frame["probe"]) == {
        "landscape", "landscape_random", "landscape_equal_distance", "curvature", "shift", "gradients", "activations",
        "activations_fixed", "weights", "structure",
    }  # fmt: skip
    assert set(frame["batch"]) == {0}
    history = pd.read_parquet(run / "history.parquet").set_index("step")
    for quantity in ("loss", "grad_norm"):
        base = frame[(frame.probe == "landscape") & (frame.quantity == quantity) & frame.step_size.isna()]
        seen = history.loc[[0, 1, 2, 4], quantity]
        # the probe reads loss and gradient of the very update that training made, in float32
        np.testing.assert_allclose(base.set_index("step")["value"].loc[seen.index], seen, rtol=1e-5)
    sizes = frame[(frame.probe == "landscape") & (frame.quantity == "beta")]["step_size"].unique()
    np.testing.assert_allclose(sorted(sizes), [0.025, 0.05, 0.1], rtol=1e-12)
    first = frame[(frame.probe == "shift") & (frame.layer == "features.conv1")]
    assert set(first[first.quantity == "l2"]["value"]) == {0.0}
    assert set(first[first.quantity == "cosine"]["value"]) == {1.0}
    assert "features.norm3" in set(frame[frame.probe == "activations"]["layer"])
    places = frame[frame.probe == "structure"].set_index("layer")["value"]
    assert places.to_dict() == {f"features.{tap}{k}": k for tap in ("conv", "norm") for k in range(1, 9)}
    taps = {f"features.{kind}{number}" for kind in ("conv", "norm") for number in range(1, 9)}
    assert set(frame[frame.probe == "activations_fixed"]["layer"]) == taps
    histograms = pd.read_parquet("data/probes/a/histograms.parquet")
    per_step = histograms.groupby(["layer", "step"])["count"].sum().unstack()
    assert (per_step.nunique(axis=1) == 1).all()  # every histogram of a layer counts the same number of values


def test_a_probe_meets_the_noise_of_training_s_own_update(data: Path) -> None:
    # with the noise of another step the loss differs in its first digits: 1e-5 is float32 on another path
    run = _train(data, "models/runs/a", "noisy_batch")
    frame = pd.read_parquet(_probe(data, run, "data/probes/a") / "probes.parquet")
    base = frame[(frame.probe == "landscape") & (frame.quantity == "loss") & frame.step_size.isna()]
    seen = pd.read_parquet(run / "history.parquet").set_index("step").loc[[0, 1, 2, 4], "loss"]
    np.testing.assert_allclose(base.set_index("step")["value"].loc[seen.index], seen, rtol=1e-5)


def test_a_diverged_run_is_a_result_and_can_be_probed(data: Path) -> None:
    run = _train(data, "models/runs/a", "none", "1e12")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["diverged_at"] is not None
    frame = pd.read_parquet(_probe(data, run, "data/probes/a") / "probes.parquet")
    assert sorted(frame["step"].unique()) == summary["checkpoints"]
    walk = frame[(frame.probe == "landscape") & (frame.quantity == "loss_high")]
    assert not np.isfinite(walk["value"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--norm-layer", "bn"), "grid.norm_layer: accepted: batch, batch_detached"),
        (("--learning-rate", "-1"), "grid.learning_rate: must be a positive number"),
        (("params", "steps: 6", "steps: 0"), "train.steps: must be at least 1, got 0"),
        (("params", "steps: 6", "step: 6"), "train.step: unknown key"),
        (("params", "batch_size: 16", "batch_size: 61"), "batch_size: must be at most the 60 images"),
        (("params", "batch_size: 16", "batch_size: 16, device: 'cuda:63'"), "train.device"),
    ],
)
def test_bad_input_is_one_line_before_any_training_and_loses_nothing(
    data: Path,
    change: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = Path("models/runs/a")
    out.mkdir(parents=True)
    (out / "old").write_text("kept")
    point = {"--network": "vgg11", "--norm-layer": "batch", "--learning-rate": "0.1", "--seed": "0"}
    if change[0] == "params":
        Path("params.yaml").write_text(tiny.PARAMS.replace(*change[1:]))
    else:
        point[change[0]] = change[1]
    arguments = [word for pair in point.items() for word in pair]
    monkeypatch.setattr("sys.argv", ["train", "--data", str(data), *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        command.run(train.main)
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""
    assert [path.name for path in out.parent.iterdir()] == ["a"]
    assert (out / "old").read_text() == "kept"


def test_a_training_whose_checkpoints_vanish_does_not_pass_for_finished(data: Path) -> None:
    def lose_one(checkpoint: Checkpoint) -> None:
        if checkpoint.step == 6:
            next(Path("models/runs").glob(".a.*.partial/checkpoints/step-000002.pt")).unlink()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared, "save_checkpoint", lambda path, c: (save_checkpoint(path, c), lose_one(c)))
        with pytest.raises(InputError, match=r"step-000002.pt: no such file; 4 of 5 checkpoints are there"):
            _train(data, "models/runs/a")
    assert list(Path("models/runs").iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda run: checkpoint_path(run, 2).unlink(), "step-000002.pt: no such file; 4 of 5 checkpoints are there"),
        (lambda run: _edit(run, checkpoints=[0, 1, 4, 6]), "names checkpoints of the steps"),
        (lambda run: _edit(run, spec=None), "not the summary of a training run"),
        (lambda run: checkpoint_path(run, 4).write_bytes(checkpoint_path(run, 2).read_bytes()), "belongs to other"),
        (lambda run: checkpoint_path(run, 4).write_bytes(b"PK"), "not a readable checkpoint"),
        (lambda run: (run / "summary.json").write_text("[]"), "not the summary of a training run"),
    ],
)
def test_a_run_that_is_not_whole_is_refused_by_the_probe(data: Path, harm, message: str) -> None:
    run = _train(data, "models/runs/a")
    harm(run)
    with pytest.raises(InputError) as caught:
        _probe(data, run, "data/probes/a")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("data/probes/a").exists()


def _edit(run: Path, **changes: object) -> None:
    path = run / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_interrupted_stage_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("kept")

    def write_half() -> None:
        with command.new_folder(out) as folder:
            (folder / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(("out", "partial"))] == ["out"]
    assert (out / "old").read_text() == "kept"


def test_further_batches_and_sparser_controls(data: Path) -> None:
    """Training's own rows stay as they are; a further batch adds a walk, dear controls come at every other step."""
    run = _train(data, "models/runs/a")
    before = pd.read_parquet(_probe(data, run, "data/probes/a") / "probes.parquet")
    Path("params.yaml").write_text(tiny.PARAMS.replace("units: 4", "units: 4, batches: 3, control_every: 2"))
    frame = pd.read_parquet(_probe(data, run, "data/probes/b") / "probes.parquet")
    keys = ["probe", "layer", "step_size", "step", "batch", "quantity"]
    assert not frame.duplicated(keys).any()
    both = frame.merge(before, on=[*keys, "value"], how="inner")
    assert len(both) == len(frame[(frame.batch == 0) & ~frame.quantity.str.startswith("batch_sharpness")])
    others = frame[frame.batch > 0]
    assert set(others.batch) == {1, 2}
    assert set(others.probe) == {"landscape", "curvature", "shift"}
    shifts = others[(others.probe == "shift") & (others.quantity == "l2") & (others.layer == "features.conv8")]
    assert sorted(shifts.step.unique()) == [0, 2, 6]
    assert shifts.value.nunique() == len(shifts) == 6
    losses = others[(others.probe == "landscape") & (others.quantity == "loss") & others.step_size.isna()]
    assert sorted(losses.step.unique()) == [0, 1, 2, 4, 6]
    assert losses.value.nunique() == len(losses)  # each batch of each step is another one
    for control in ("landscape_random", "landscape_equal_distance", "curvature"):
        steps = frame[(frame.probe == control) & ~frame.quantity.str.startswith("top_eigenvalue")].step
        assert sorted(steps.unique()) == [0, 2, 6], control  # every other one of 0, 1, 2, 4, 6, and the last
    assert set(frame[frame.quantity == "top_eigenvalue"].step) == {0}


def test_images_held_out_are_scored_and_reach_the_tables() -> None:
    """From the data stage to the rows that the analysis reads; without them there is no such file."""
    Path("params.yaml").write_text(
        tiny.PARAMS + "data: {source: textures, train_per_class: 8, test_per_class: 1, held_out: 10}\n"
    )
    prepare_data.main([])
    run = _train(Path("data/prepared"), "models/runs/vgg11-batch-0.1-0")
    _probe(Path("data/prepared"), run, "data/probes/vgg11-batch-0.1-0")
    spec = tiny.run_spec("batch")
    frames, _ = read_training_study([spec], Path("models/runs"), Path("data/probes"))
    rows = pd.concat([frame for frame in frames if set(frame["probe"]) == {"held_out"}])
    assert set(rows["quantity"]) == {"held_out_loss", "held_out_accuracy"}
    assert sorted(rows["step"].unique()) == [0, 3, 6]
    assert json.loads(Path("data/prepared/manifest.json").read_text())["counts"]["train"] == 70


def test_a_variant_is_trained_probed_and_read_under_its_own_settings(data: Path) -> None:
    params = {**load_params("params.yaml"), "grid": [{
        "network": ["vgg11"], "norm_layer": ["batch"], "learning_rate": [0.1], "seed": [0], "batch_size": [16, 20],
        "weight_decay": 0.01,
    }]}  # fmt: skip
    plain, other = (planned.spec for planned in planned_runs(params))
    for run in (plain, other):
        _train(data, f"models/runs/{run.name}", "batch", "0.1", "--variant", run.variant)
        _probe(data, Path("models/runs") / run.name, f"data/probes/{run.name}")
    assert other.name == "vgg11-batch-0.1-0-batch_size=20-weight_decay=0.01"
    frames, histograms = read_training_study([plain, other], Path("models/runs"), Path("data/probes"))
    table = combine(frames)
    assert list(table["variant"].unique()) == ["weight_decay=0.01", "batch_size=20,weight_decay=0.01"]
    assert set(combine(histograms, HISTOGRAM_COLUMNS)["variant"]) == set(table["variant"])
    # both see what weight decay adds; the batches, and with them the losses, are their own
    for run in (plain, other):
        at_start = select(table, variant=run.variant, probe="history", step=0).set_index("quantity")["value"]
        assert at_start["penalized_loss"] > at_start["loss"]
        walk = select(table, variant=run.variant, probe="landscape", step=0, quantity="loss", step_size=None)
        assert walk["value"].item() == pytest.approx(at_start["loss"], rel=1e-5)  # the same batch, another sum's order
    with pytest.raises(InputError, match="trained under other settings"):
        read_training_study([dataclasses.replace(other, train=plain.train)], Path("models/runs"), Path("data/probes"))


def test_another_version_of_a_package_is_not_used(data: Path) -> None:
    version = torch.__version__.partition("+")[0]
    _train(data, "run", "batch", "0.1", "--package", f"torch=={version}")
    for arguments in (["--package", "torch==0.1"], ["--package", f"torch=={version},no-such-package==1"]):
        with pytest.raises(InputError, match=r"^--package .*: installed is"):
            _train(data, "other", "batch", "0.1", *arguments)
    with pytest.raises(InputError, match=r"^--package torch==0.1: installed is"):
        probe.main(["--data", str(data), "--run", "run", "--out", "probes", "--package", "torch==0.1"])
    assert not Path("other").exists()
