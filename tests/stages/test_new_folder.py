"""Outputs are private to their process until they are whole: orphans, killed owners, half-written and missing files."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from normlab.specs.strict import InputError
from normlab.stages import command

WRITER = """
import sys, time
from pathlib import Path
from normlab.stages import command
def main(argv):
    with command.new_folder(Path("runs/a")) as folder:
        (folder / "half").write_text("orphan")
        print("writing", flush=True)
        sys.stdin.read()
command.run(main)
"""


@contextlib.contextmanager
def writer(here: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun to write runs/a and finishes when its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER], cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_orphan_keeps_its_folder_and_the_newcomer_is_refused(tmp_path: Path) -> None:
    with writer(tmp_path) as orphan:
        before = entries(tmp_path / "runs")
        expected = rf"runs/a: process {orphan.pid} on .+ is writing it; wait for it or end it"
        with pytest.raises(InputError, match=expected), command.new_folder(tmp_path / "runs/a"):
            pytest.fail("two processes would share an output")
        assert entries(tmp_path / "runs") == before
        orphan.communicate()
        assert orphan.returncode == 0
    assert entries(tmp_path / "runs") == ["a"]
    assert (tmp_path / "runs/a/half").read_text() == "orphan"
    with command.new_folder(tmp_path / "runs/a") as folder:  # and now there is nobody to refuse
        (folder / "whole").touch()
    assert entries(tmp_path / "runs/a") == ["whole"]


def test_what_a_killed_owner_left_is_removed_by_the_next(tmp_path: Path) -> None:
    neighbors = tmp_path / "runs/.a-b.12-0123abcd.partial", tmp_path / "runs/.a.5-0.partial"
    for neighbor in neighbors:
        neighbor.mkdir(parents=True)
    with writer(tmp_path) as process:
        process.kill()
        process.wait()
    assert len(entries(tmp_path / "runs")) == 4  # its folder, its lock, and two folders that are not of this output
    with command.new_folder(tmp_path / "runs/a") as folder:
        assert entries(folder) == []
    assert entries(tmp_path / "runs") == sorted(["a", *(path.name for path in neighbors)])


def test_sigterm_ends_in_order(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert entries(tmp_path / "runs") == []


def test_an_output_moved_aside_by_a_killed_owner_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / f".a.{os.getpid()}-0123abcd.old.partial"
    aside.mkdir()
    (aside / "old").touch()

    def stopped() -> None:
        with command.new_folder(tmp_path / "a"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert entries(tmp_path) == ["a"]
    assert entries(tmp_path / "a") == ["old"]


def test_temporary_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    long_ago = time.time() - 2 * command.ABANDONED_AFTER_SECONDS
    for name in ("page-killed", "other-killed"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / "page-starting").mkdir()
    with command.temporary_folder("page-") as first:
        os.utime(first, (long_ago, long_ago))  # old, and its process lives
        with command.temporary_folder("page-") as second:
            assert entries(tmp_path) == sorted(["other-killed", "page-starting", first.name, second.name])
    assert entries(tmp_path) == ["other-killed", "page-starting"]


@pytest.mark.pipeline
def test_leftovers_are_no_part_of_what_dvc_and_git_see(repository: Path) -> None:
    left = ["models/runs/.a.12-0123abcd.partial", "models/runs/.a.12-0123abcd.old.partial", "models/runs/.a.lock"]
    for ask in ([sys.executable, "-m", "dvc", "check-ignore"], ["git", "check-ignore"]):
        done = subprocess.run([*ask, *left], cwd=repository, capture_output=True, text=True, check=False)
        assert done.stdout.split() == left, done.stderr
