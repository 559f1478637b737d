"""The local store survives what kills, damages and deletions do to it: runs come back, nothing is deleted."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.small_study import BATCH, RUNS, write_study

from normlab.tracking import local
from normlab.tracking.collected import collect
from normlab.tracking.publishing import StoreChanges, publish
from normlab.tracking.tracked import TrackedRun


def _draw(run: TrackedRun, folder: Path) -> None:
    if run.study == "vgg":
        (folder / "training.txt").write_text(run.name)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def published(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = shutil.copytree(study, tmp_path_factory.mktemp("published") / "study")
    publish(collect(root), root, _draw)
    return root


def _copy(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "study")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100_000])


def _overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 3 * 4096):
        content[start : start + 4096] = b"\xa5" * 4096
    path.write_bytes(content)


def _half_created(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("DELETE FROM alembic_version")
        store.commit()


def _without_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("DROP TABLE latest_metrics")
        store.commit()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut, "malformed"),
        (_overwrite, "malformed"),
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a database"),
        (lambda path: path.write_bytes(b""), "its creation was cut short"),
        (_half_created, "its creation was cut short"),
    ],
    ids=["cut", "overwritten", "text", "empty", "half created"],
)
def test_damage_is_seen_without_mlflow(published: Path, tmp_path: Path, damage, reason: str) -> None:
    path = Path(shutil.copy(published / "mlflow.db", tmp_path))
    assert local.damage(path) is None
    damage(path)
    assert reason in str(local.damage(path))
    path.unlink()
    assert local.damage(path) is None


@pytest.mark.parametrize(
    ("damage", "reason"), [(_half_created, "cut short"), (_without_a_table, "latest_metrics")], ids=["at once", "late"]
)
def test_a_damaged_store_is_kept_aside_and_the_runs_are_written_anew(
    published: Path, tmp_path: Path, damage, reason: str
) -> None:
    root = _copy(published, tmp_path)
    local.move_artifacts(root / "mlflow.db", root / "mlruns")
    damage(root / "mlflow.db")
    damaged = (root / "mlflow.db").read_bytes()
    if damage is _without_a_table:  # which is seen when something is written
        (root / "reports/metrics.json").write_text('{"n": 1}')
    done = publish(collect(root), root)
    assert (done.kept, done.added) == (0, len(RUNS))
    (note,) = done.notes
    assert note.startswith("mlflow.db was damaged (")
    assert reason in note
    assert "is kept as mlflow.db.damaged-1; the runs of the present outputs are written anew" in note
    assert (root / "mlflow.db.damaged-1").read_bytes() == damaged
    assert publish(collect(root), root) == StoreChanges(kept=len(RUNS))


@pytest.mark.pipeline
def test_a_store_whose_creation_is_killed_is_made_anew(study: Path, tmp_path: Path) -> None:
    root = shutil.copytree(study, tmp_path / "study")
    program = [sys.executable, "-m", "normlab.stages.publish", "--root", str(root)]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (root / "mlflow.db.partial").exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (root / "mlflow.db").exists(), "killed too late: the test shows nothing"
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(RUNS)} written" in done.stdout
    assert not list(root.glob("mlflow.db.partial*"))


def test_deleted_pictures_and_files_come_back_in_the_same_runs(published: Path, tmp_path: Path) -> None:
    # the store names the place of its files, so it stays where it is
    kept = published / "mlruns"
    moved = kept.rename(tmp_path / "mlruns")
    try:
        done = publish(collect(published), published, _draw)
        assert done == StoreChanges(kept=len(RUNS), redrawn=3)
        assert sorted(p.name for p in kept.rglob("*") if p.is_file()) == sorted(
            p.name for p in moved.rglob("*") if p.is_file()
        )
        assert publish(collect(published), published, _draw) == StoreChanges(kept=len(RUNS))
    finally:
        shutil.rmtree(kept)
        moved.rename(kept)


@pytest.mark.pipeline
def test_a_store_that_was_moved_with_its_folder_keeps_its_files_and_writes_nothing_at_the_old_place(
    published: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    root = _copy(published, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in published.rglob("*")}
    (root / "mlruns" / "normlab-claims").rename(tmp_path / "lost")
    # in a process of its own: MLflow remembers a run's place as long as its process lives
    program = [sys.executable, "-m", "normlab.stages.publish", "--root", str(root)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.stdout == f"MLflow: {len(RUNS)} runs, {len(RUNS)} as before, 1 with new pictures and files\n", (
        done.stderr
    )
    client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert all((root / "mlruns").as_uri() in run.info.artifact_uri for run in runs)
    picture = next(run for run in runs if run.info.run_name == BATCH)
    assert Path(client.download_artifacts(picture.info.run_id, "figures/training.txt")).read_text() == BATCH
    assert {path: path.stat().st_mtime_ns for path in published.rglob("*")} == before


def test_a_store_in_use_is_not_taken_for_damaged(published: Path) -> None:
    path = published / "mlflow.db"
    with closing(sqlite3.connect(path, isolation_level="EXCLUSIVE")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert local.damage(path) is None
    assert not local.tells_damage(RuntimeError("database is locked"), path)
    assert not local.tells_damage(OSError("No space left on device"), path)


def test_a_store_of_an_older_mlflow_with_runs_in_it_is_left_to_its_owner(published: Path, tmp_path: Path) -> None:
    outdated = RuntimeError("Detected out-of-date database schema (found version a, but expected b)")
    assert not local.tells_damage(outdated, published / "mlflow.db")
    empty = tmp_path / "mlflow.db"
    shutil.copy(published / "mlflow.db", empty)
    with closing(sqlite3.connect(empty)) as store:
        store.execute("DELETE FROM runs")
        store.commit()
    assert local.tells_damage(outdated, empty)


def test_names_of_what_is_set_aside_are_never_used_twice(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "mlflow.db").write_text(str(number))
        local.set_aside(tmp_path / "mlflow.db", "x")
    assert (tmp_path / "mlflow.db.damaged-1").read_text() == "1"
    assert (tmp_path / "mlflow.db.damaged-2").read_text() == "2"
