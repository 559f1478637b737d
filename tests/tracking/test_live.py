"""A training in MLflow while it runs: seen at once, cheap, beside others, and never in the way."""

import concurrent.futures
import multiprocessing
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests import tiny
from tests.small_study import BATCH, RUNS, write_probes, write_study

from normlab.specs.training import RunSpec
from normlab.tracking.collected import collect
from normlab.tracking.live import LiveRun
from normlab.tracking.publishing import StoreChanges, prune, publish
from normlab.tracking.store import store_uri


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


def _client(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri(root))


def _runs(root: Path) -> dict[str, Any]:
    client = _client(root)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return {run.info.run_name: run for run in found}


def test_live_run_is_visible_at_once_and_replaced_by_the_published_one(study: Path) -> None:
    run = tiny.run_spec(seed=0)
    assert run.name == BATCH
    publish([one for one in collect(study) if one.name != BATCH], study)
    with LiveRun(run, study, every=0.0, system_every=0.2) as live:
        live.log(0, {"loss": 2.0, "train_accuracy": 0.25})
        shown = _runs(study)[BATCH]
        assert shown.info.status == "RUNNING"
        fit = {name: value for name, value in shown.data.metrics.items() if name.startswith("fit/")}
        assert fit == {"fit/train_loss": 2.0, "fit/train_accuracy": 0.25}
        assert (shown.data.tags["current"], shown.data.tags["preset"]) == ("true", "tiny")
        time.sleep(0.5)
        assert shown.data.params["train.width"] == "0.0625"
    assert _runs(study)[BATCH].info.status == "FINISHED"
    write_probes(study, effective_beta=30.0)
    assert publish(collect(study), study) == StoreChanges(kept=len(RUNS) - 1, added=1, removed=1)
    complete = _runs(study)[BATCH].data
    assert complete.params["data.source"] == "textures"
    assert complete.metrics["system/cpu_utilization_percentage"] >= 0  # seen by the live run, and kept


def test_a_training_that_was_killed_is_no_longer_current_and_one_that_runs_is_left_alone(study: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tests import tiny; "
        "from normlab.tracking.live import LiveRun; LiveRun(tiny.run_spec(seed=5), Path(sys.argv[1])).__enter__(); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(study)], check=False)
    killed, client = _runs(study)[tiny.run_spec(seed=5).name], _client(study)
    assert (killed.info.status, killed.data.tags["current"]) == ("RUNNING", "true")
    with LiveRun(tiny.run_spec(seed=6), study):
        write_probes(study, effective_beta=40.0)
        publish(collect(study), study)
        tags = {name: run.data.tags["current"] for name, run in _runs(study).items()}
        assert tags[tiny.run_spec(seed=6).name] == "true"
        assert tags[tiny.run_spec(seed=5).name] == "false"
        assert prune(study) >= 1
        assert tiny.run_spec(seed=6).name in _runs(study)
    assert client.get_run(killed.info.run_id).info.lifecycle_stage == "deleted"
    client.delete_run(_runs(study)[tiny.run_spec(seed=6).name].info.run_id)


def test_live_run_writes_few_steps_at_long_intervals(study: Path) -> None:
    run = tiny.run_spec(seed=7)
    with LiveRun(run, study, every=3600.0) as live:
        for step in range(1000):
            live.log(step, {"loss": float(step)})
        assert not any(name.startswith("fit/") for name in _runs(study)[run.name].data.metrics)
    client = _client(study)
    history = client.get_metric_history(_runs(study)[run.name].info.run_id, "fit/train_loss")
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


def _train_beside_others(root: Path, seed: int) -> str:
    run = tiny.run_spec(seed=seed)
    with LiveRun(run, root, every=0.05, system_every=0.5) as live:
        for step in range(40):
            live.log(step, {"loss": float(step)})
            time.sleep(0.05)
    return run.name


def test_trainings_beside_each_other_write_to_one_store(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with concurrent.futures.ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        names = list(pool.map(_train_beside_others, [tmp_path] * 3, range(3)))
    assert "tracking is off" not in capfd.readouterr().err
    runs, client = _runs(tmp_path), _client(tmp_path)
    for name in names:
        assert runs[name].info.status == "FINISHED"
        steps = [point.step for point in client.get_metric_history(runs[name].info.run_id, "fit/train_loss")]
        assert (steps[0], steps[-1]) == (0, 39)
        assert steps == sorted(set(steps))


def test_a_store_in_use_is_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LiveRun(tiny.run_spec(), tmp_path, every=0.0, system_every=60) as live:
        log = live._store.client.log_batch

        def in_use(*args: Any, **kwargs: Any) -> None:
            live._store.client.log_batch = log
            raise RuntimeError("(sqlite3.OperationalError) database is locked")

        live._store.client.log_batch = in_use
        live.log(0, {"loss": 2.0})
        live.log(1, {"loss": 1.0})
    assert capsys.readouterr().err == ""
    history = _client(tmp_path).get_metric_history(_runs(tmp_path)[tiny.run_spec().name].info.run_id, "fit/train_loss")
    assert [(point.step, point.value) for point in history] == [(0, 2.0), (1, 1.0)]
