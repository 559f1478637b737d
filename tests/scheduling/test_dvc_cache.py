"""An object of DVC's cache that is not what its name says is never restored as a result."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scheduling.test_dvc_files import dvc, original

from normlab.scheduling.dvc_files import mend
from normlab.stages import mend as program

__all__ = ["original"]  # a fixture
FIRST = "md5/c4/ca4238a0b923820dcc509a6f75849b"  # the content "1" of all three files


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "repository")


def _replace_in_place(path: Path, content: bytes) -> None:
    """As a failing disk does: the file's size, times and mode stay."""
    found = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    path.chmod(found.st_mode)


@pytest.mark.pipeline
def test_a_damaged_object_is_set_aside_and_the_stage_runs_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program.main(["--root", str(root)])
    assert capsys.readouterr() == ("", "")
    _replace_in_place(root / ".dvc/cache/files" / FIRST, b"2")
    (root / "first.txt").unlink()
    control = shutil.copytree(root, root.with_name("control"))
    assert dvc(control, "repro").returncode == 0
    assert (control / "first.txt").read_bytes() == b"2", "DVC notices it by itself: is this still needed?"

    program.main(["--root", str(root)])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "damaged in DVC's cache, and set aside in .dvc/tmp/damaged: c4ca4238a0b923820dcc509a6f75849b;" in said
    assert (root / ".dvc/tmp/damaged/c4ca4238a0b923820dcc509a6f75849b").read_bytes() == b"2"
    done = dvc(root, "repro")
    assert done.returncode == 0, done.stderr
    assert (root / "first.txt").read_bytes() == b"1"
    assert (root / "second.txt").read_bytes() == b"1"
    assert (root / "ran").read_text() == "first\nsecond\nfirst\n"


def _objects(root: Path, *contents: bytes) -> list[Path]:
    import hashlib

    paths = []
    for content in contents:
        name = hashlib.md5(content).hexdigest() + (".dir" if content.startswith(b"[") else "")
        path = root / ".dvc/cache/files/md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        path.chmod(0o444)
        paths.append(path)
    return paths


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: _replace_in_place(path, path.read_bytes()[:-1]),
    "empty": lambda path: _replace_in_place(path, b""),
    "another byte": lambda path: _replace_in_place(path, path.read_bytes()[:-1] + b"?"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_change_of_a_file_or_a_listing_is_noticed_after_a_look_at_the_whole_ones(
    tmp_path: Path, damage: str
) -> None:
    paths = _objects(tmp_path, b"weights", b'[{"md5": "0", "relpath": "x"}]', b"history")
    stranger = paths[0].with_name("not-an-object.tmp")
    stranger.write_bytes(b"half")
    assert mend(tmp_path) == []
    for path in paths[:2]:
        DAMAGES[damage](path)
    (line,) = mend(tmp_path)
    assert line.count(", ") == 2  # both are named
    assert [path.exists() for path in (*paths, stranger)] == [False, False, True, True]
    assert mend(tmp_path) == []


@pytest.mark.parametrize("notes", ["{", "[1]", '{"a": 3}'])
def test_notes_that_are_damaged_themselves_are_begun_anew(tmp_path: Path, notes: str) -> None:
    (path,) = _objects(tmp_path, b"weights")
    mend(tmp_path)
    (tmp_path / ".dvc/tmp/objects.json").write_text(notes)
    assert mend(tmp_path) == []
    assert path.exists()
