"""Digests are DVC's, and no file is read twice. That whole studies agree with DVC is seen in `test_staleness.py`."""

import hashlib
import os
from pathlib import Path

import pytest

from normlab.scheduling.digests import KNOWN, Digests, digest_of_list


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("runs/a/x", "runs/a/deep/y", "runs/b/x", "runs/.a.lock", "__pycache__/z.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    (tmp_path / "link").symlink_to(tmp_path / "runs/a")
    (tmp_path / ".dvcignore").write_text("# no bytecode, no locks\n__pycache__/\n.*.lock\n")
    return tmp_path


def test_a_folder_is_the_list_of_its_files(root: Path) -> None:
    digests = Digests(root)
    a = {"x": md5("runs/a/x"), "deep/y": md5("runs/a/deep/y")}
    assert digests.digest("runs/a/x") == a["x"]
    assert digests.digest("runs/a") == digests.digest("link") == digest_of_list(a)
    below = {f"a/{name}": digest for name, digest in a.items()} | {"b/x": md5("runs/b/x")}
    assert digests.digest("runs") == digest_of_list(below)  # without the lock, which .dvcignore names
    assert digests.digest("gone") is None
    assert digests.digest("runs/a/x/gone") is None


def test_what_is_placed_counts_for_what_lies_there(root: Path) -> None:
    digests = Digests(root)
    assert digests.digest("runs") is not None
    digests.place("runs/b", {"new": "1"})
    digests.place("runs/c", {"x": "2"})
    digests.place("file", "3")
    assert digests.digest("runs/b") == digest_of_list({"new": "1"})
    assert digests.digest("runs/c/x") == "2"
    assert digests.digest("file") == "3"
    a = {"a/x": md5("runs/a/x"), "a/deep/y": md5("runs/a/deep/y")}
    assert digests.digest("runs") == digest_of_list({**a, "b/new": "1", "c/x": "2"})


def test_an_unchanged_file_is_not_read_again(root: Path) -> None:
    first = Digests(root)
    first.digest("runs/a/x")
    first.save()
    (root / "runs/a/x").write_text("runs/a/X")  # as long, and with the old time put back: taken for the same
    os.utime(root / "runs/a/x", ns=(10**18, 10**18))
    assert Digests(root).digest("runs/a/x") == md5("runs/a/x")
    os.utime(root / "runs/a/x", ns=(10**18 + 1, 10**18 + 1))
    assert Digests(root).digest("runs/a/x") == md5("runs/a/X")


@pytest.mark.parametrize("content", ["", "[1]", "{not json"])
def test_a_damaged_memory_costs_only_time(root: Path, content: str) -> None:
    (root / KNOWN).parent.mkdir(parents=True)
    (root / KNOWN).write_text(content)
    assert Digests(root).digest("runs/a/x") == md5("runs/a/x")


def test_a_file_that_was_just_written_is_not_remembered(root: Path) -> None:
    (root / "new").write_text("1")
    first = Digests(root)
    assert first.digest("new") == md5("1")
    first.save()
    state = os.stat(root / "new")
    (root / "new").write_text("2")
    os.utime(root / "new", ns=(state.st_atime_ns, state.st_mtime_ns))  # within the grain of the clock
    assert Digests(root).digest("new") == md5("2")
