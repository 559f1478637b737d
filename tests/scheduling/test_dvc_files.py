"""A `dvc.lock` cut off at any place, as a kill leaves it, costs nothing: DVC goes on, and no stage runs again."""

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import loads_yaml

from normlab.scheduling.dvc_files import damage, mend
from normlab.stages import mend as program

DVC = """
stages:
  first: {cmd: echo first >> ran && cp number.txt first.txt, deps: [number.txt], outs: [first.txt]}
  second: {cmd: echo second >> ran && cp first.txt second.txt, deps: [first.txt], outs: [second.txt]}
"""


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose two stages have run, with `dvc.lock` as it was after the first of them in Git."""
    root = tmp_path_factory.mktemp("original")
    (root / "dvc.yaml").write_text(DVC)
    (root / "number.txt").write_text("1")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    assert dvc(root, "init", "--quiet").returncode == 0
    assert dvc(root, "repro", "--quiet", "first").returncode == 0
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", "first"], cwd=root, check=True)
    assert dvc(root, "repro", "--quiet").returncode == 0
    assert (root / "ran").read_text() == "first\nsecond\n"
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "repository")


def test_every_cut_is_either_noticed_or_nothing_that_dvc_refuses(repository: Path) -> None:
    text = (repository / "dvc.lock").read_text()
    head = "".join(text.splitlines(keepends=True)[:16])
    assert damage(text.encode()) is None
    accepted = 0
    for end in range(len(head)):
        if damage(head[:end].encode()) is None:
            accepted += 1
            COMPILED_LOCKFILE_SCHEMA(loads_yaml(head[:end]))
    assert accepted < 16, "only a cut between two lines can look whole"


@pytest.mark.parametrize("text", [b"", b"\x00" * 100, b"\xff\xfe", b"[1, 2]\n", b"stages: 3\n", b"<<<<<<< HEAD\n"])
def test_what_is_no_lock_file_is_noticed(text: bytes) -> None:
    assert damage(text)


@pytest.mark.pipeline
@pytest.mark.parametrize("kept", [True, False], ids=["after the last good copy", "after a clone"])
def test_a_cut_lock_file_is_replaced_and_no_stage_runs_again(
    root: Path, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (root / "dvc.lock").read_bytes()
    if kept:
        program.main(["--root", str(root)])
        assert capsys.readouterr() == ("", "")
    cut = whole[: whole.rindex(b"md5:") + 2]
    (root / "dvc.lock").write_bytes(cut)
    assert dvc(root, "repro").returncode != 0, "DVC starts by itself: is this still needed?"
    program.main(["--root", str(root)])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "dvc.lock is damaged" in said
    assert ("the last sound copy" if kept else "the committed one") in said
    assert (root / "dvc.lock.damaged").read_bytes() == cut
    done = dvc(root, "repro")
    assert done.returncode == 0, done.stderr
    assert (root / "ran").read_text() == "first\nsecond\n"
    assert (root / "dvc.lock").read_bytes() == whole


@pytest.mark.pipeline
def test_without_any_older_one_the_run_cache_is_enough(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (root / "dvc.lock").read_bytes()
    subprocess.run(["git", "rm", "--quiet", "--cached", "dvc.lock"], cwd=root, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", "none"], cwd=root, check=True)
    (root / "dvc.lock").write_bytes(b"")
    program.main(["--root", str(root)])
    assert "there is no older one" in capsys.readouterr().err
    assert dvc(root, "repro").returncode == 0
    assert (root / "ran").read_text() == "first\nsecond\n"
    assert (root / "dvc.lock").read_bytes() == whole


@pytest.mark.pipeline
def test_a_cut_rwlock_is_set_aside(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / ".dvc/tmp/rwlock").write_text('{"write": {"fir')
    (root / "number.txt").write_text("2")
    assert dvc(root, "repro").returncode != 0, "DVC starts by itself: is this still needed?"
    program.main(["--root", str(root)])
    assert (
        capsys.readouterr().err
        == "note: .dvc/tmp/rwlock is damaged and set aside as rwlock.damaged; DVC begins a new one\n"
    )
    assert dvc(root, "repro").returncode == 0
    assert json.loads((root / ".dvc/tmp/rwlock").read_text()) is not None


def test_files_that_dvc_is_writing_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text("stages:\n  fir")
    (tmp_path / ".dvc/tmp/rwlock").write_text("{")
    with (tmp_path / ".dvc/tmp/lock").open("w") as one, (tmp_path / ".dvc/tmp/rwlock.lock").open("w") as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert mend(tmp_path) == []
    assert (tmp_path / "dvc.lock").read_text() == "stages:\n  fir"
    assert len(mend(tmp_path)) == 2


def test_a_folder_without_dvc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(program.InputError, match="expected the root of a repository with DVC"):
        program.main(["--root", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
