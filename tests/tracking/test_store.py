"""Publishing to a real MLflow store: complete, idempotent, rebuilt from the files, never in the way of a training."""

import math
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import tiny
from tests.small_study import BATCH, PARAMS, RUNS, write_probes, write_study

from normlab.specs.training import RunSpec
from normlab.stages import publish as stage
from normlab.tracking.collected import Series, TrackedRun, collect
from normlab.tracking.store import KEY, LiveRun, StoreChanges, publish, store_uri


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published study; tests that change it put it back."""
    root = write_study(tmp_path_factory.mktemp("study"))
    assert publish(collect(root), root, _draw) == StoreChanges(kept=0, added=len(RUNS))
    return root


def _draw(run: TrackedRun, folder: Path) -> None:
    if run.study == "vgg":
        (folder / "training.txt").write_text(run.name)


def _client(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri(root))


def _runs(root: Path) -> dict[str, Any]:
    client = _client(root)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    runs = {run.info.run_name: run for run in found}
    assert len(runs) == len(found), "two active runs of one name"
    return runs


def test_store_address_is_absolute_unless_a_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert store_uri() == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert store_uri() == "http://localhost:5000"


def test_published_runs_are_flat_and_complete(study: Path) -> None:
    client, runs = _client(study), _runs(study)
    assert {(run.data.tags["study"], name) for name, run in runs.items()} == set(RUNS)
    run = runs[BATCH]
    assert run.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in run.data.tags
    for tag in ("network", "norm_layer", "learning_rate", "seed", "git_commit", "dvc_stage", "spec_digest", KEY):
        assert run.data.tags[tag], tag
    assert run.data.tags["dvc_stage"] == f"train@{BATCH}"
    assert run.data.params["train.width"] == "0.0625"
    assert run.data.params["probe.step_sizes"] == "[0.5, 1.0]"
    assert run.inputs.dataset_inputs[0].dataset.name == "textures"
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id, "figures")] == ["figures/training.txt"]
    expected = next(one for one in collect(study) if one.name == BATCH).load()
    assert set(run.data.metrics) == set(expected)
    for name in ("train/loss", "landscape/effective_beta"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(point.step, point.value) for point in history] == expected[name]
    assert client.list_artifacts(runs["claims"].info.run_id)[0].path == "claims.json"
    assert math.isnan(runs["dln-batch-1e-06-0"].data.metrics["train/grad_norm"])


def test_filter_in_the_readme_is_understood(study: Path, repository: Path) -> None:
    line = next(x for x in (repository / "README.md").read_text().splitlines() if x.startswith("- A filter"))
    query = line.split("``")[1].strip()
    client = _client(study)
    experiment = client.get_experiment_by_name("normlab-vgg").experiment_id
    assert client.search_runs([experiment], query) == []  # an untrained network does not pass 80 %
    found = client.search_runs([experiment], query.replace("0.8", "-1"))
    assert [run.info.run_name for run in found] == [BATCH]


def test_second_time_adds_nothing_and_does_not_even_import_mlflow(study: Path) -> None:
    before = {name: run.info.run_id for name, run in _runs(study).items()}
    program = (
        "import sys; from normlab.stages.publish import main; main(sys.argv[1:]); "
        "assert 'mlflow' not in sys.modules and 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", program, "--root", str(study)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(RUNS)} as they were" in done.stdout
    assert {name: run.info.run_id for name, run in _runs(study).items()} == before


def test_changed_output_replaces_its_run_and_comes_back_when_undone(study: Path) -> None:
    first = _runs(study)[BATCH].info.run_id
    original = (study / "data/probes" / BATCH / "probes.parquet").read_bytes()
    write_probes(study, effective_beta=10.0)
    assert publish(collect(study), study) == StoreChanges(kept=len(RUNS) - 1, added=1, removed=1)
    replaced = _runs(study)[BATCH]
    assert replaced.info.run_id != first
    assert replaced.data.metrics["landscape/effective_beta"] == 14.0
    (study / "data/probes" / BATCH / "probes.parquet").write_bytes(original)
    assert publish(collect(study), study) == StoreChanges(kept=len(RUNS) - 1, restored=1, removed=1)
    assert _runs(study)[BATCH].info.run_id == first


def test_run_outside_the_grid_disappears(study: Path) -> None:
    (study / "params.yaml").write_text(PARAMS.split("dln_grid")[0])
    try:
        publish([run for run in collect(study) if run.study == "vgg"], study)
        assert {run.data.tags["study"] for run in _runs(study).values()} == {"vgg"}
    finally:
        (study / "params.yaml").write_text(PARAMS)
    assert publish(collect(study), study) == StoreChanges(kept=2, restored=3)


def test_other_peoples_runs_are_left_alone(study: Path) -> None:
    client = _client(study)
    foreign = client.create_run(client.get_experiment_by_name("normlab-vgg").experiment_id, run_name="mine")
    write_probes(study, effective_beta=20.0)
    publish(collect(study), study)
    assert "mine" in _runs(study)
    client.delete_run(foreign.info.run_id)


def test_interrupted_publishing_is_made_good(study: Path) -> None:
    runs = collect(study)
    tags = {"dvc_stage": "train@broken", "spec_digest": "0"}

    def interrupted() -> Series:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish([*runs, TrackedRun("vgg", "broken", {}, tags, runs[0].files, interrupted)], study)
    whole = TrackedRun("vgg", "broken", {}, tags, runs[0].files, lambda: {"train/loss": [(0, 1.0)]})
    assert publish([*runs, whole], study) == StoreChanges(kept=len(RUNS), added=1, removed=1)
    assert publish(runs, study) == StoreChanges(kept=len(RUNS), removed=1)


def test_deleted_store_is_rebuilt(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"  # elsewhere, because MLflow keeps a store open as long as its process lives
    shutil.copytree(study, copy, ignore=lambda *_: {"mlflow.db", "mlruns"})
    runs = [run for run in collect(copy) if run.name in (BATCH, "claims")]
    assert publish(runs, copy) == StoreChanges(kept=0, added=2)
    assert set(_runs(copy)) == {BATCH, "claims"}


def test_live_run_is_visible_at_once_and_replaced_by_the_published_one(study: Path) -> None:
    run = tiny.run_spec(seed=0)
    assert run.name == BATCH
    publish([one for one in collect(study) if one.name != BATCH], study)
    with LiveRun(run, study, every=0.0) as live:
        live.log(0, {"loss": 2.0, "train_accuracy": 0.25})
        shown = _runs(study)[BATCH]
        assert shown.info.status == "RUNNING"
        assert shown.data.metrics == {"train/loss": 2.0, "train/accuracy": 0.25}
        assert shown.data.params["train.width"] == "0.0625"
    assert _runs(study)[BATCH].info.status == "FINISHED"
    write_probes(study, effective_beta=30.0)
    assert publish(collect(study), study) == StoreChanges(kept=len(RUNS) - 1, added=1, removed=1)
    assert _runs(study)[BATCH].data.params["data.source"] == "textures"


def test_live_run_writes_few_steps_at_long_intervals(study: Path) -> None:
    run = tiny.run_spec(seed=7)
    with LiveRun(run, study, every=3600.0) as live:
        for step in range(1000):
            live.log(step, {"loss": float(step)})
        assert _runs(study)[run.name].data.metrics == {}
    client = _client(study)
    history = client.get_metric_history(_runs(study)[run.name].info.run_id, "train/loss")
    assert len(history) <= 21
    assert (history[-1].step, history[-1].value) == (999, 999.0)
    client.delete_run(_runs(study)[run.name].info.run_id)


def test_failed_training_leaves_a_failed_run_and_its_own_error(study: Path) -> None:
    run = tiny.run_spec(seed=8)
    with pytest.raises(KeyboardInterrupt), LiveRun(run, study):
        raise KeyboardInterrupt
    killed = _runs(study)[run.name]
    assert killed.info.status == "KILLED"
    _client(study).delete_run(killed.info.run_id)


def _train_under(live: LiveRun) -> None:
    with live:
        for step in range(3):
            live.log(step, {"loss": 1.0})


def test_failing_tracker_is_reported_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    _train_under(LiveRun(tiny.run_spec(), tmp_path, every=0.0))
    lines = [line for line in capsys.readouterr().err.splitlines() if "tracking" in line]
    assert len(lines) == 1
    assert "the training goes on" in lines[0]


def test_tracker_that_fails_midway_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run: RunSpec = tiny.run_spec()
    with LiveRun(run, tmp_path, every=0.0) as live:
        with sqlite3.connect(tmp_path / "mlflow.db") as store:
            store.execute("DROP TABLE latest_metrics")
        for step in range(3):
            live.log(step, {"loss": 1.0})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "tracking is off" in lines[0]


def test_machine_without_mlflow_trains_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    _train_under(LiveRun(tiny.run_spec(), tmp_path, every=0.0))
    assert capsys.readouterr().err == ""


def test_publish_stage_says_in_one_line_that_the_tracker_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/claims.json").write_text("[]")
    (tmp_path / "reports/metrics.json").write_text("{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/params.yaml/mlflow.db")
    with pytest.raises(SystemExit, match="1"):
        stage.main(["--root", str(tmp_path)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("publish:")]
    assert len(lines) == 1
