"""Stages side by side leave the files of `dvc repro`: when all goes well, a stage fails, or everything is killed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scheduling.pipelines import DVC, begin, dvc, is_gone, ran, repository, repro, wait_for

from normlab.scheduling.dvc_files import mend

pytestmark = pytest.mark.pipeline
ALL = sorted(["number", "a", "b", "c", "d", "other", "last"])
SECONDS = 60


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which nothing has run."""
    return repository(tmp_path_factory.mktemp("fresh") / "repository")


@pytest.fixture(scope="module")
def reference(fresh: Path) -> Path:
    """The same after plain `dvc repro`."""
    root = shutil.copytree(fresh, fresh.parent / "reference")
    done = dvc(root, "repro")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def root(fresh: Path, tmp_path: Path) -> Path:
    return shutil.copytree(fresh, tmp_path / "repository")


def same(root: Path, reference: Path) -> None:
    """The record, the outputs and the run cache are those of the reference, and DVC finds nothing to do."""
    assert (root / "dvc.lock").read_text() == (reference / "dvc.lock").read_text()
    for path in ("last", "last.json", "slow", "other", "parts/a/text"):
        assert (root / path).read_bytes() == (reference / path).read_bytes()
    runs = [sorted(path.relative_to(one) for path in (one / ".dvc/cache/runs").rglob("*")) for one in (root, reference)]
    assert runs[0] == runs[1]
    before = ran(root)
    status = dvc(root, "status")
    assert "up to date" in status.stdout, status.stdout + status.stderr
    assert ran(root) == before


def test_the_files_are_those_of_dvc_repro(root: Path, reference: Path) -> None:
    done = repro(root, jobs=3)
    assert done.returncode == 0, done.stderr
    assert "8 stages ran, 0 came from the cache, 8 in all" in done.stdout
    assert ran(root) == ALL == ran(reference)
    same(root, reference)
    again = repro(root)
    assert "0 stages ran, 0 came from the cache, 8 in all" in again.stdout
    assert again.stderr == ""
    assert ran(root) == ALL


def test_one_job_is_dvc_itself(root: Path, reference: Path) -> None:
    done = repro(root, jobs=1)
    assert "Running stage 'part@a'" in done.stdout
    same(root, reference)


def test_what_the_run_cache_holds_is_not_run(root: Path, reference: Path) -> None:
    root = shutil.copytree(reference, root.parent / "copy")
    for path in ("dvc.lock", "slow", "last", "parts/a/text"):
        (root / path).unlink()
    done = repro(root)
    assert "0 stages ran, 8 came from the cache" in done.stdout, done.stderr
    assert ran(root) == ALL
    same(root, reference)


def test_only_what_changed_runs_and_entries_keep_their_places(root: Path, reference: Path) -> None:
    reference = shutil.copytree(reference, root.parent / "reference")
    root = shutil.copytree(reference, root.parent / "copy")
    other = DVC.replace("[a, b, c, d]", "[a, b, c, d, e]").replace("wc -c", "wc  -c")
    results = []
    for run, place in ((lambda: repro(root), root), (lambda: dvc(reference, "repro"), reference)):
        (place / "dvc.yaml").write_text(other)
        assert run().returncode == 0
        results.append((place / "dvc.lock").read_text())
        (place / "dvc.yaml").write_text(DVC)
    assert results[0] == results[1]
    assert ran(root) == sorted([*ALL, "e", "other", "last"])


def test_a_stage_that_fails_stops_what_needs_it_and_nothing_else(root: Path, reference: Path) -> None:
    (root / "dvc.yaml").write_text(
        DVC.replace("echo ${item} >> ran &&", "test ${item} != b -o -e mended && echo ${item} >> ran &&")
    )
    expected = shutil.copytree(root, root.parent / "expected")
    failed = repro(root)
    assert failed.returncode == 1
    assert "part@b FAILED: exit status 1" in failed.stderr
    assert "failed: part@b; not run because of that: last" in failed.stderr
    assert ran(root) == sorted(set(ALL) - {"b", "last"})
    for place in (root, expected):
        (place / "mended").touch()
    assert dvc(expected, "repro").returncode == 0
    done = repro(root)
    assert "2 stages ran" in done.stdout, "what was finished came from the cache"
    assert (root / "dvc.lock").read_text() == (expected / "dvc.lock").read_text()


def test_a_missing_output_is_a_failure_and_so_is_a_missing_input(root: Path) -> None:
    broken = "  none: {cmd: 'true', deps: [number], outs: [never]}\n  lost: {cmd: 'true', deps: [nowhere], outs: [x]}\n"
    (root / "dvc.yaml").write_text(DVC + broken)
    done = repro(root)
    assert done.returncode == 1
    assert "none FAILED: DVC: " in done.stderr
    assert "never" in done.stderr
    assert "lost FAILED: DVC: " in done.stderr
    assert "nowhere" in done.stderr
    assert ran(root) == ALL


def test_a_frozen_stage_is_not_run(root: Path, reference: Path) -> None:
    root = shutil.copytree(reference, root.parent / "copy")
    (root / "dvc.yaml").write_text(DVC.replace("outs: [number]}", "outs: [number], frozen: true}"))
    (root / "number.txt").write_text("6\n")
    assert "0 stages ran" in repro(root).stdout
    (root / "dvc.yaml").write_text(DVC)
    assert "8 stages ran" in repro(root).stdout


def test_another_one_at_work_is_named(root: Path) -> None:
    first = _in_the_slow_stage(root)
    second = repro(root)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=SECONDS)
    assert second.returncode == 2
    assert (
        second.stderr == "error: another DVC or `make repro` is at work here: wait for it or end it, then try again\n"
    )


def _recorded(root: Path) -> set[str]:
    """What the run cache holds: one file a stage."""
    return {path.name for path in (root / ".dvc/cache/runs").rglob("*") if path.is_file()}


def _in_the_slow_stage(root: Path) -> subprocess.Popen[str]:
    (root / "quick").unlink()
    process = begin(root)
    wait_for(lambda: (root / "pids").exists() and (root / "pids").read_text().strip() != "")
    return process


def _kill_the_job(process: subprocess.Popen[str], root: Path) -> None:
    (pid,) = (root / "pids").read_text().split()
    os.killpg(os.getpgid(int(pid)), signal.SIGKILL)


ENDS: dict[str, tuple[Callable[[subprocess.Popen[str], Path], None], int]] = {
    "a job, KILL": (_kill_the_job, 1),
    "the head, KILL": (lambda process, root: process.kill(), -signal.SIGKILL),
    "Ctrl-C": (lambda process, root: os.killpg(process.pid, signal.SIGINT), 130),
    "the group, TERM": (lambda process, root: os.killpg(process.pid, signal.SIGTERM), 128 + signal.SIGTERM),
}


@pytest.mark.parametrize("end", ENDS)
def test_after_any_end_the_next_one_completes(root: Path, reference: Path, end: str) -> None:
    process = _in_the_slow_stage(root)
    (pid,) = (root / "pids").read_text().split()
    if end != "a job, KILL":  # the others ended before: a stage that ran says so at its beginning
        wait_for(lambda: set(ALL) - {"last"} == set(ran(root)) and len(_recorded(reference) - _recorded(root)) == 2)
    action, status = ENDS[end]
    action(process, root)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == status, said
    assert "Traceback" not in said
    wait_for(lambda: is_gone(int(pid)))
    (root / "quick").touch()
    mend(root)  # as `make repro` begins: a killed head may have been writing one of DVC's files
    done = repro(root)
    assert done.returncode == 0, done.stderr
    if end == "the head, KILL":  # it may have been about to record the last one that ended
        assert len(ran(root)) <= len(ALL) + 1
    else:
        assert ran(root) == ALL, "what had ended was not lost"
    same(root, reference)


def test_a_job_that_was_killed_is_shown_with_its_log(root: Path) -> None:
    process = _in_the_slow_stage(root)
    _kill_the_job(process, root)
    _, said = process.communicate(timeout=SECONDS)
    assert "slow FAILED: killed by signal 9\n    begun\n    all of it: logs/stages/slow.log" in said
