"""Every logger writes what its own library reads back."""

import math
from pathlib import Path

import pytest

from normlab.integrations.loggers import MlflowLogger, TensorBoardLogger, WandbLogger

NUMBERS = {"walk/loss": 0.1 + 0.2, "shift/features.3/cosine": -1.0}


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TensorBoardLogger(tmp_path) as log:
        log(3, NUMBERS)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(NUMBERS)
    (event,) = events.Scalars("walk/loss")
    assert (event.step, event.value) == (3, pytest.approx(0.3))


def test_mlflow(tmp_path: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("probes")
    with MlflowLogger() as log:
        log(3, {**NUMBERS, "ℓ2": 1.0})
        log(4, {"walk/loss": math.nan})
    assert mlflow.active_run() is None
    client = mlflow.MlflowClient()
    history = client.get_metric_history(log.run_id, "walk/loss")
    assert [m.step for m in history] == [3, 4]
    assert history[0].value == 0.1 + 0.2
    assert math.isnan(history[1].value)
    with mlflow.start_run() as run, MlflowLogger() as log:
        assert log.run_id == run.info.run_id
    assert mlflow.active_run() is None


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    with WandbLogger(dir=str(tmp_path), project="probes") as log:
        log(3, NUMBERS)
        summary = dict(log._run.summary)
    assert (summary["walk/loss"], summary["probe_step"]) == (0.1 + 0.2, 3)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
