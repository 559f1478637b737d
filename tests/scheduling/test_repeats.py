"""A change that repeats trainings is named before anything runs; DVC itself is asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from normlab.scheduling.repeats import repeated_trainings

pytestmark = pytest.mark.pipeline
PIPELINE = """
vars: [runs.yaml]
stages:
  measure:
    foreach: ${measured_runs}
    do:
      cmd: mkdir ${key}
      params: [probe]
      deps: [layers.py]
      outs: ["${key}"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two runs, of which one was made."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "runs.yaml").write_text("measured_runs: {a: {}, b: {}}\n")
    (tmp_path / "params.yaml").write_text("probe: {units: 4}\n")
    (tmp_path / "layers.py").write_text("one = 1\n")
    for arguments in (["init", "--no-scm", "--quiet"], ["repro", "--quiet", "measure@a"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_what_changed_and_which_runs_train_again(root: Path) -> None:
    assert repeated_trainings(root) == ""
    (root / "params.yaml").write_text("probe: {units: 8}\n")
    assert repeated_trainings(root) == "probe changed; trained again for it, because they keep few checkpoints: a"
    (root / "layers.py").write_text("one = 2\n")
    changed = repeated_trainings(root).partition(" changed; ")[0]
    assert sorted(changed.split(", ")) == ["layers.py", "probe"]


def test_where_nothing_was_made_nothing_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "runs.yaml").write_text("measured_runs: {a: {}}\n")
    assert repeated_trainings(tmp_path) == ""
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {train@a: {cmd: x}}\n")
    assert repeated_trainings(tmp_path) == ""
