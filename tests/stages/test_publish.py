"""The publish program draws a picture of each training, and only where there is something to draw."""

from pathlib import Path

import pytest

from normlab.stages.publish import draw
from normlab.tables.rows import Rows
from normlab.tracking.tracked import TrackedRun

POINT = {"network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0}


def _run(study: str = "vgg") -> TrackedRun:
    return TrackedRun(study, "vgg11-batch-0.1-0", POINT, {"spec_digest": "0"}, (), dict)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    records = Rows({"study": "vgg", **POINT})
    for step in range(4):
        records.add("history", step, {"train_accuracy": 0.2 * step})
        records.add("test", step, {"test_accuracy": 0.1 * step})
        edges = {"loss_low": 1.0, "loss_high": 2.0, "gradient_distance_low": 0.1, "gradient_distance_high": 0.3}
        records.add("landscape", step, edges)
    path = tmp_path / "measurements.parquet"
    records.frame().to_parquet(path, index=False)
    return path


def test_a_training_has_a_picture(table: Path, tmp_path: Path) -> None:
    draw(table, _run(), tmp_path)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_without_measurements_there_is_no_picture(table: Path, tmp_path: Path) -> None:
    draw(tmp_path / "missing.parquet", _run(), tmp_path)
    draw(table, _run("dln"), tmp_path)
    assert not (tmp_path / "run.png").exists()
