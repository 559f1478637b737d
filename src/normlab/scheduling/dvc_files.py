"""What a kill left half-written of DVC's own files.

DVC rewrites `dvc.lock` after each stage and `.dvc/tmp/rwlock` around each, in place. Killed while it does, it leaves a
file that it refuses from then on. Nothing is lost by going back to an older `dvc.lock`: the outputs of every stage that
finished are in the run cache, and DVC takes them from there.
"""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from normlab.scheduling.dvc_cache import set_damaged_aside
from normlab.scheduling.lock_reader import Loader


def damage(text: bytes) -> str | None:
    """What is wrong with the content of a `dvc.lock`, None if DVC will take it."""
    try:
        stages = yaml.load(text, Loader)["stages"]
        if not text.endswith(b"\n"):
            return "it ends within a line"
        for name, stage in stages.items():
            entries = [*stage.get("deps", []), *stage.get("outs", [])]
            if not stage["cmd"] or any(None in entry.values() or not entry["path"] for entry in entries):
                return f"stage {name} is incomplete"
    except (yaml.YAMLError, ValueError) as error:
        return " ".join(str(error).split())[-80:]
    except (KeyError, TypeError, AttributeError):
        return "it is not a list of stages"
    return None


def mend(root: Path) -> list[str]:
    """Put right `dvc.lock` and `.dvc/tmp/rwlock` below `root`, or keep a copy of the former if it is sound.

    What is damaged is kept as `<name>.damaged`; of DVC's cache, see `set_damaged_aside`. While DVC itself holds one of
    its locks, that file is left to it.

    Returns:
        A line for each thing that was put right.
    """
    kept, said = root / ".dvc/tmp", []
    kept.mkdir(parents=True, exist_ok=True)
    with _locked(kept / "lock") as free:
        path, copy = root / "dvc.lock", kept / "dvc.lock.good"
        found = damage(path.read_bytes()) if free and path.exists() else None
        if found is not None:
            os.replace(path, path.with_suffix(".lock.damaged"))
            source = _restore(path, copy)
            said.append(
                f"dvc.lock is damaged ({found}) and set aside as {path.name}.damaged; {source}, results made since "
                "come from the run cache"
            )
        elif free and path.exists():
            _write(copy, path.read_bytes())
        said += set_damaged_aside(root) if free else []
    with _locked(kept / "rwlock.lock") as free:
        path = kept / "rwlock"
        try:
            sound = not free or not path.exists() or isinstance(json.loads(path.read_bytes()), dict)
        except ValueError:
            sound = False
        if not sound:
            os.replace(path, path.with_suffix(".damaged"))
            said.append(".dvc/tmp/rwlock is damaged and set aside as rwlock.damaged; DVC begins a new one")
    return said


def _restore(path: Path, copy: Path) -> str:
    """Write the best older `dvc.lock` there is to `path`; returns what it is."""
    if copy.exists() and damage(copy.read_bytes()) is None:
        _write(path, copy.read_bytes())
        return "the last sound copy takes its place"
    show = subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, check=False)
    if show.returncode == 0 and damage(show.stdout) is None:
        _write(path, show.stdout)
        return "the committed one takes its place"
    return "there is no older one"


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether the lock that DVC holds while it writes was free; it is held for the block."""
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
