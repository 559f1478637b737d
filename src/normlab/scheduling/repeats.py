"""Which trainings a change will repeat although it is none of theirs, because the checkpoints to measure are gone."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from normlab.scheduling.lock_reader import Loader, read_lock

SHOWN = 20  # names of runs in a line


def repeated_trainings(root: Path) -> str:
    """One line on the finished runs with `checkpoints: few` that the next `dvc repro` will train again; "" for none.

    All of them share their settings and sources, so DVC is asked about one: it takes a second for a stage. What only
    some of them use (their network or normalizer) is left to DVC's own output.

    Args:
        root: the repository, with runs.yaml and dvc.lock.
    """
    recorded = read_lock(root / "dvc.lock")
    measured = yaml.load((root / "runs.yaml").read_bytes(), Loader)["measured_runs"]
    finished = [run for run in measured if f"measure@{run}" in recorded]
    changed = changed_inputs(root, f"measure@{finished[0]}") if finished else []
    if not changed:
        return ""
    names = ", ".join(finished[:SHOWN]) + (f" and {len(finished) - SHOWN} more" if len(finished) > SHOWN else "")
    return f"{', '.join(changed)} changed; trained again for it, because they keep few checkpoints: {names}"


def changed_inputs(root: Path, stage: str) -> list[str]:
    """The dependencies and settings of a stage that are others than when it last ran, as DVC names them."""
    asked = [sys.executable, "-m", "dvc", "status", "--json", stage]
    done = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        return []  # what is wrong, `dvc repro` says better
    found: list[str] = []
    for entry in json.loads(done.stdout).get(stage, []):
        for path, change in (entry.get("changed deps", {}) if isinstance(entry, dict) else {}).items():
            found += [*change] if isinstance(change, dict) else [path]
    return found
