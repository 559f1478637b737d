"""Tables of a lent machine: whole in one file, or split run by run where one would be too large."""

from pathlib import Path

import pandas as pd
import pytest
from tests import tiny

from normlab.tables import budget
from normlab.tables.frames import load_measurements
from normlab.tables.rows import Rows

RUNS = [tiny.run_spec("none", seed=seed) for seed in range(3)]


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    found = []
    for run in RUNS:
        rows = Rows(run.keys)
        for step in range(2000):
            rows.add("history", step, {"loss": (step * 7919 % 104729) / 7.0 + run.seed})
        found.append(rows.frame())
    monkeypatch.setattr(budget, "read_training_study", lambda runs, models, probes: (found, []))
    return found


@pytest.mark.parametrize(("limit", "files"), [(10.0, 1), (0.99, 2), (0.65, 3)])
def test_no_file_is_larger_than_what_comes_back(
    tmp_path: Path, frames: list[pd.DataFrame], monkeypatch: pytest.MonkeyPatch, limit: float, files: int
) -> None:
    budget.write_budget(tmp_path, RUNS, tmp_path)
    size = (tmp_path / "measurements.parquet").stat().st_size
    (tmp_path / "measurements.parquet").unlink()
    monkeypatch.setattr(budget, "LARGEST_FILE", limit * size)
    budget.write_budget(tmp_path, RUNS, tmp_path)
    paths = sorted(tmp_path.glob("measurements*"))
    assert len(paths) == files
    assert max(path.stat().st_size for path in paths) <= limit * size
    back = pd.concat([load_measurements(path).astype(str) for path in paths], ignore_index=True)
    pd.testing.assert_frame_equal(back, pd.concat(frames, ignore_index=True).astype(str))
    assert (tmp_path / "histograms.parquet").exists()


def test_runs_for_which_there_is_no_room_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: list[pd.DataFrame]
) -> None:
    by_run = dict(zip((run.name for run in RUNS), frames, strict=True))
    monkeypatch.setattr(
        budget, "read_training_study", lambda runs, models, probes: ([by_run[run.name] for run in runs], [])
    )
    assert budget.write_budget(tmp_path, RUNS[:1], tmp_path) == []
    size = max(path.stat().st_size for path in tmp_path.iterdir())
    monkeypatch.setattr(budget, "MEASUREMENT_FILES", 2)
    monkeypatch.setattr(budget, "LARGEST_FILE", 1.1 * size)
    assert budget.write_budget(tmp_path, RUNS, tmp_path) == RUNS[2:]
    files = ["histograms.parquet", "measurements-1.parquet", "measurements-2.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    back = pd.concat([load_measurements(tmp_path / f"measurements-{n}.parquet") for n in (1, 2)])
    assert set(back.seed) == {0, 1}
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(budget, "LARGEST_FILE", 10)
    assert budget.write_budget(tmp_path / "other", RUNS, tmp_path) == RUNS
    assert list((tmp_path / "other").iterdir()) == []
