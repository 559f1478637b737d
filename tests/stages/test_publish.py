"""The publish program draws a picture of each training, and only where there is something to draw."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from normlab.stages.publish import Pictures
from normlab.tables.rows import Rows
from normlab.tracking.tracked import TrackedRun

POINT: dict[str, object] = {"network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0}


def _run(study: str = "vgg", **changes: object) -> TrackedRun:
    return TrackedRun(study, "vgg11-batch-0.1-0", POINT | changes, {"spec_digest": "0"}, (), dict)


def _rows(**changes: object) -> pd.DataFrame:
    records = Rows({"study": "vgg", **POINT, **changes})
    for step in range(4):
        records.add("history", step, {"train_accuracy": 0.2 * step})
        records.add("test", step, {"test_accuracy": 0.1 * step})
        edges = {"loss_low": 1.0, "loss_high": 2.0, "gradient_distance_low": 0.1, "gradient_distance_high": 0.3}
        records.add("landscape", step, edges)
    return records.frame()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "measurements.parquet"
    _rows().to_parquet(path, index=False)
    return path


def test_a_training_has_a_picture(table: Path, tmp_path: Path) -> None:
    Pictures(table)(_run(), tmp_path)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_without_measurements_there_is_no_picture(table: Path, tmp_path: Path) -> None:
    Pictures(tmp_path / "missing.parquet")(_run(), tmp_path)
    Pictures(table)(_run("dln"), tmp_path)
    assert not (tmp_path / "run.png").exists()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("variant", ["", "weight_decay=0.1"])
def test_a_picture_is_of_the_rows_of_its_run(
    seed: int, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [{"seed": number, "variant": text} for number in (0, 1) for text in ("", "weight_decay=0.1")]
    frames = [_rows(**run) for run in runs]
    frames += [_rows().assign(batch=1), _rows(learning_rate=0.5), _rows(norm_layer="none")]
    pd.concat(frames).to_parquet(tmp_path / "measurements.parquet", index=False)
    drawn = _drawn(monkeypatch)
    named = {"variant": variant} if variant else {}  # a run without one has no such setting
    Pictures(tmp_path / "measurements.parquet")(_run(seed=seed, **named), tmp_path)
    expected = _rows(seed=seed, variant=variant)
    assert drawn[0].astype(object).reset_index(drop=True).equals(expected.astype(object).reset_index(drop=True))


def test_the_table_is_read_once_for_all_pictures(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, read, reading = _drawn(monkeypatch), [], pd.read_parquet

    def counted(path: Path, *args: Any, **more: Any) -> pd.DataFrame:
        read.append(path)
        return reading(path, *args, **more)

    monkeypatch.setattr(pd, "read_parquet", counted)
    pictures = Pictures(table)
    for seed in (0, 1, 0):
        pictures(_run(seed=seed), tmp_path)
    assert [len(frame) for frame in drawn] == [24, 0, 24]
    assert read == [table]


def _drawn(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """The frames that pictures are made of from now on, instead of pictures."""
    from normlab.figures import run

    class Nothing:
        savefig: Callable[..., None] = staticmethod(lambda *args, **more: None)

    frames: list[pd.DataFrame] = []

    def note(frame: pd.DataFrame) -> Nothing:
        frames.append(frame)
        return Nothing()

    monkeypatch.setattr(run, "run_figure", note)
    return frames
