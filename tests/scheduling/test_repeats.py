"""A change that repeats trainings is named before anything runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from normlab.scheduling.repeats import repeated_trainings

pytestmark = pytest.mark.pipeline
PIPELINE = """
vars: [runs.yaml]
stages:
  data: {cmd: mkdir data, outs: [data]}
  measure:
    foreach: ${measured_runs}
    do:
      cmd: mkdir ${key}
      params: [probe]
      deps: [data, layers.py, "parts/${item.normalizer}"]
      outs: ["${key}"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with three runs, of which two were made, and a normalizer's file behind a link."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "runs.yaml").write_text(
        "measured_runs: {a: {normalizer: batch}, b: {normalizer: l1}, c: {normalizer: l1}}\n"
    )
    (tmp_path / "params.yaml").write_text("probe: {units: 4}\n")
    (tmp_path / "layers.py").write_text("one = 1\n")
    for name in ("batch", "l1"):
        (tmp_path / f"{name}.py").write_text("one = 1\n")
        (tmp_path / "parts" / name).mkdir(parents=True)
        (tmp_path / "parts" / name / "file.py").symlink_to(tmp_path / f"{name}.py")
    for arguments in (["init", "--no-scm", "--quiet"], ["repro", "--quiet", "measure@a", "measure@b"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_what_changed_and_which_runs_train_again(root: Path) -> None:
    because = "changed; trained again for it, because they keep few checkpoints:"
    assert repeated_trainings(root) == []
    (root / "data").rmdir()  # as in a fresh clone
    assert repeated_trainings(root) == []
    (root / "params.yaml").write_text("probe: {units: 8}\n")
    assert repeated_trainings(root) == [f"probe {because} a, b"]
    (root / "l1.py").write_text("one = 2\n")
    assert repeated_trainings(root) == [f"probe {because} a", f"probe, parts/l1 {because} b"]
    (root / "layers.py").write_text("one = 2\n")
    assert repeated_trainings(root)[0] == f"probe, layers.py {because} a"


def test_where_nothing_was_made_nothing_is_repeated(tmp_path: Path) -> None:
    assert repeated_trainings(tmp_path) == []
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {train@a: {cmd: x}}\n")
    assert repeated_trainings(tmp_path) == []
