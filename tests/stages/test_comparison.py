"""The flow that the views are for: change one learning rate, run it again, and compare, in MLflow and with DVC."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from normlab.specs.yaml12 import load_yaml
from normlab.stages import expand, publish

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
STAGES = ("check", "data", "train", "probe", "analyze")
SMALL: dict[str, dict[str, Any]] = {
    "data": {"train_per_class": 8, "test_per_class": 4},
    "train": {
        "width": 0.0625,
        "batch_size": 16,
        "steps": 4,
        "test_every": 2,
        "checkpoint_every": 2,
        "checkpoint_at": [],
    },
    "probe": {"step_sizes": [0.5, 1.0], "extra_step_sizes": [], "distances": [], "relative_steps": [], "batches": 1},
    "assumptions": {"norm_layer": []},
    "reparametrization": {"norm_layer": []},
    "analyze": {"studies": ["training"], "window": 2, "resamples": 100},
    "report": {"preset": "tiny", "notebooks": ["01-training"]},
}


def _grid(rate: float) -> list[dict[str, list[Any]]]:
    return [{"network": ["vgg11"], "norm_layer": ["batch"], "learning_rate": [rate], "seed": [0]}]


def _write_params(root: Path, quick: Path, rate: float) -> None:
    params = load_yaml(quick)
    params["grid"] = _grid(rate)
    for section, values in SMALL.items():
        params[section] |= values
    params["analyze"]["learning_rate"] = rate
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with contextlib.chdir(root):
        expand.main([])


def _call(root: Path, *command: str, fails: bool = False) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"}
    words = [sys.executable, "-m", "dvc", *command[1:]] if command[0] == "dvc" else list(command)
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A repository with the real dvc.yaml, but for the studies that compare nothing here."""
    root = tmp_path_factory.mktemp("comparison")
    dvc = load_yaml(repository / "dvc.yaml")
    dvc["stages"] = {name: dvc["stages"][name] for name in STAGES}
    analyze = dvc["stages"]["analyze"]
    analyze["deps"] = [dep for dep in analyze["deps"] if dep != "data/studies"]
    (root / "dvc.yaml").write_text(yaml.safe_dump(dvc, sort_keys=False))
    shutil.copytree(repository / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for command in (
        ["git", "init", "--quiet", "--initial-branch", "main"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
    ):
        subprocess.run(command, cwd=root, check=True)
    shutil.copy(repository / ".dvc" / "config", root / ".dvc")
    shutil.copytree(repository / ".dvc" / "plots", root / ".dvc" / "plots")
    shutil.copytree(repository / "notebooks", root / "notebooks")
    shutil.copy(repository / ".gitignore", root)
    _write_params(root, repository / "presets" / "quick.yaml", 0.1)
    shutil.copytree(repository / "parts" / "run", root / "parts" / "run", symlinks=True)
    _call(root, "dvc", "repro", "--quiet")
    _commit(root)
    publish.main(["--root", str(root)])
    return root


def _commit(root: Path) -> None:
    _call(root, "git", "add", "--all")
    _call(root, "git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--message", "results")


def test_a_changed_rate_is_compared_with_the_one_before(root: Path, repository: Path) -> None:
    _write_params(root, repository / "presets" / "quick.yaml", 0.05)
    _call(root, "dvc", "exp", "run", "--quiet", "-S", "probe.units=3")

    changes = json.loads(_call(root, "dvc", "metrics", "diff", "--json"))["reports/summary.json"]
    assert "train_accuracy.batch" in changes
    rows = list(csv.DictReader(io.StringIO(_call(root, "dvc", "exp", "show", "--csv"))))
    before, now = (next(row for row in rows if row["rev"] == name) for name in ("main", "workspace"))
    assert (before["probe.units"], now["probe.units"]) == ("16", "3")
    assert before["train_accuracy.batch"] != now["train_accuracy.batch"]
    assert (before["train.steps"], now["train.steps"]) == ("4", "4")

    _call(root, "dvc", "plots", "diff", "HEAD", "workspace")
    page = (root / "dvc_plots" / "index.html").read_text()
    for title in ("Train accuracy", "Train loss", "Effective β-smoothness", "Gradient predictiveness"):
        assert json.dumps(title) in page
    assert '"normalizer": "batch"' in page
    assert re.findall(r'<script src="([^"]+)"', page) == ["../reports/html/normlab.js"]  # nothing from elsewhere

    publish.main(["--root", str(root)])
    runs = _tracked(root)
    assert {(name, current) for name, current, _ in runs} == {
        ("vgg11-batch-0.1-0", "false"),
        ("vgg11-batch-0.05-0", "true"),
        ("claims-tiny-vgg11-0.1", "false"),
        ("claims-tiny-vgg11-0.05", "true"),
    }
    losses = [loss for name, _, loss in runs if not name.startswith("claims")]
    assert losses[0] != losses[1]


def _tracked(root: Path) -> list[tuple[str, str, float | None]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return [(run.info.run_name, run.data.tags["current"], run.data.metrics.get("fit/train_loss")) for run in found]


def test_a_grid_changed_by_dvc_alone_is_refused_with_what_to_do(root: Path) -> None:
    before = (root / "params.yaml").read_text()
    try:
        said = _call(root, "dvc", "exp", "run", "-S", "grid.0.seed=[0,1]", fails=True)
        assert "runs.yaml: not what params.yaml says now" in said
        assert "python -m normlab.stages.expand" in said
    finally:
        (root / "params.yaml").write_text(before)
