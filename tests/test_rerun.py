"""`make rerun` on a small DVC repository: it notices what changed, accepts what the tolerances state, and says so."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from normlab import rerun
from normlab.rerun import Difference, Tolerance
from normlab.specs.strict import InputError
from normlab.stages import rerun as stage

PARAMS = """
grid: [{network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0]}]
train: {width: 0.25, batch_size: 16, steps: 6, test_every: 3, checkpoint_every: 2}
"""
# what a run yields is read from a file that no stage declares, as another processor is something nobody declares
DVC = """
stages:
  train:
    matrix: {key: [vgg11-none-0.1-0, vgg11-batch-0.1-0]}
    cmd: cp ${machine} ${item.key}.txt
    outs: ["${item.key}.txt"]
  probe:
    matrix: {key: [vgg11-none-0.1-0, vgg11-batch-0.1-0]}
    cmd: cp ${item.key}.txt ${item.key}.probe
    deps: ["${item.key}.txt"]
    outs: ["${item.key}.probe"]
  analyze:
    cmd: python analyze.py
    deps: [vgg11-none-0.1-0.probe, vgg11-batch-0.1-0.probe]
    metrics:
      - reports/metrics.json: {cache: false}
      - reports/claims.json: {cache: false}
"""
ANALYZE = """
import json, pathlib
value = float(pathlib.Path("vgg11-batch-0.1-0.probe").read_text())
metrics = {"cells": {"vgg11-batch-0.1": {"final_test_accuracy": value, "seeds": 2}}}
pathlib.Path("reports/metrics.json").write_text(json.dumps(metrics))
verdict = "supported" if value > 0.8 else "refuted"
pathlib.Path("reports/claims.json").write_text(json.dumps([{"id": "C1", "verdict": verdict}]))
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine") / "result.txt"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, machine: Path) -> Path:
    """A committed repository whose results are in its cache."""
    root = tmp_path_factory.mktemp("repository")
    machine.write_text("0.9")
    (root / "params.yaml").write_text(f"{PARAMS}\nmachine: {machine}\n")
    (root / "dvc.yaml").write_text(DVC)
    (root / "analyze.py").write_text(ANALYZE)
    (root / "reports").mkdir()
    for command in (
        ["git", "init", "--quiet"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        [sys.executable, "-m", "dvc", "repro", "--quiet"],
        ["git", "add", "--all"],
        ["git", "commit", "--quiet", "--message", "results"],
    ):
        subprocess.run(command, cwd=root, check=True)
    return root


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("value", "status", "words"),
    [
        ("0.9", 0, ["no difference that matters", "`vgg11-batch-0.1-0` is bit-identical"]),
        ("0.7", 1, ["2 differences", "not bit-identical", "| C1 | supported | refuted | **nothing** |"]),
    ],
)
def test_rerun_compares_a_repeated_run_with_the_commit(
    root: Path,
    machine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    value: str,
    status: int,
    words: list[str],
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    machine.write_text(value)
    arguments = ["--root", str(root), "--canary", "vgg11-batch-0.1-0", "--clone", str(tmp_path / "clone")]
    if status:
        with pytest.raises(SystemExit, match=str(status)):
            stage.main(arguments)
    else:
        stage.main(arguments)
    printed = capfd.readouterr().out
    assert printed.strip() == (tmp_path / "summary.md").read_text().strip()
    for word in words:
        assert word in printed
    # the other run came from the cache: one canary was repeated, no more
    assert (tmp_path / "clone/vgg11-none-0.1-0.txt").read_text() == "0.9"
    assert (tmp_path / "clone/vgg11-batch-0.1-0.txt").read_text() == value


def test_clone_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(InputError, match="CLONE: expected a folder that does not exist yet"):
        rerun.clone_head(tmp_path, tmp_path)
    assert (tmp_path / "precious").exists()


def _grid(seeds: int = 2) -> dict[str, Any]:
    grid = {"network": ["vgg11"], "norm_layer": ["none", "batch"], "learning_rate": [0.1], "seed": list(range(seeds))}
    return {
        "grid": [grid],
        "train": {"width": 1.0, "batch_size": 2, "steps": 1, "test_every": 1, "checkpoint_every": 1},
    }


def test_every_run_of_the_grid_has_its_week() -> None:
    assert {rerun.canary_of(_grid(), week).spec.name for week in range(1, 5)} == {
        f"vgg11-{kind}-0.1-{seed}" for kind in ("none", "batch") for seed in (0, 1)
    }
    assert rerun.canary_of(_grid(), 3, "vgg11-batch-0.1-1").stage("probe") == "probe@vgg11-batch-0.1-1"
    with pytest.raises(InputError, match="CANARY: no run 'vgg16' in a grid; there are: vgg11-none"):
        rerun.canary_of(_grid(), 3, "vgg16")


RULES = [Tolerance("*accuracy*", 0.1, 0.0, ""), Tolerance("*", 0.0, 0.5, "")]


@pytest.mark.parametrize(
    ("committed", "now", "allowed"),
    [
        ({"a": {"accuracy": 0.5}}, {"a": {"accuracy": 0.5}}, []),
        ({"a": {"accuracy": 0.5}}, {"a": {"accuracy": 0.55}}, ["*accuracy*"]),
        ({"a": {"accuracy": 0.5}}, {"a": {"accuracy": 0.65}}, [None]),
        ({"beta": [2.0, 4.0]}, {"beta": [3.0, 7.0]}, ["*", None]),
        ({"beta": math.nan}, {"beta": math.nan}, []),
        ({"beta": None}, {"beta": 1.0}, [None]),
        ({"beta": 1.0}, {"beta": math.inf}, [None]),
        ({"beta": 1.0}, {}, [None]),
        ({}, {"beta": 1.0}, [None]),
        ({"name": "x", "official": True}, {"name": "y", "official": False}, [None]),
    ],
)
def test_changes_are_allowed_by_the_first_rule_that_fits(committed: Any, now: Any, allowed: list[str | None]) -> None:
    assert [change.allowed for change in rerun.compare_metrics(committed, now, RULES)] == allowed


def test_any_change_of_a_verdict_counts() -> None:
    before = [
        {"id": "C1", "verdict": "supported"},
        {"id": "C2", "verdict": "refuted"},
        {"id": "C10", "verdict": "not run"},
    ]
    after = [{"id": "C1", "verdict": "supported"}, {"id": "C2", "verdict": "inconclusive"}]
    assert rerun.compare_verdicts(before, after) == [
        Difference("C2", "refuted", "inconclusive", None),
        Difference("C10", "not run", "missing", None),
    ]


def test_allowed_changes_are_shown_with_their_rule() -> None:
    text = rerun.summary("vgg11-batch-0.1-0", False, [Difference("test_accuracy", 0.9, 0.85, "*accuracy*")], [])
    assert "no difference that matters" in text
    assert "| test_accuracy | 0.9 | 0.85 | `*accuracy*` |" in text


COUNT, REACHED, SHARE, LINEAR, WALK = (0.0, 0.0), (1.0, 0.0), (0.1, 0.0), (1e-9, 0.01), (1e-3, 0.5)
INTENDED = {
    "claims.refuted": COUNT,
    "claims.expected_misses": COUNT,
    "cells.vgg11-batch-0.1.seeds": COUNT,
    "cells.dln-batch-1e-06.seeds": COUNT,
    "cells.vgg11-batch-0.1.diverged_seeds": COUNT,
    "cells.vgg11-batch-0.1.reached_90_percent": REACHED,
    "cells.vgg11-batch-0.1.final_train_accuracy": SHARE,
    "cells.vgg11-batch-0.1.mean_train_accuracy": SHARE,
    "cells.vgg11-batch-0.1.final_test_accuracy": SHARE,
    "cells.dln-batch-1e-06.final_loss": LINEAR,
    "cells.dln-batch-1e-06.late_beta_up_to_rate": LINEAR,
    "cells.vgg11-batch-0.1.final_loss": WALK,
    "cells.vgg11-batch-0.1.steps_to_90_percent": WALK,
    "cells.vgg11-batch-0.1.early_loss_range_up_to_rate": WALK,
    "cells.vgg11-batch-0.1.late_gradient_distance": WALK,
    "cells.mean_accuracy_net-none-0.1.late_stretch": WALK,
}


@pytest.mark.parametrize("name", INTENDED)
def test_every_kind_of_metric_meets_its_own_rule(name: str) -> None:
    rule = rerun.rule_for(name, rerun.load_tolerances())
    assert rule is not None
    assert (rule.absolute, rule.relative) == INTENDED[name]


def test_every_committed_metric_has_a_rule(repository: Path) -> None:
    rules = rerun.load_tolerances()
    assert all(rule.absolute >= 0 and rule.relative >= 0 and rule.reason for rule in rules)
    committed = rerun.flat_numbers(json.loads((repository / "reports/metrics.json").read_text()))
    assert len(committed) > 100
    assert not [name for name in committed if rerun.rule_for(name, rules) is None]


def test_a_metric_without_a_rule_may_not_move() -> None:
    rules = [Tolerance("cells.*.seeds", 1.0, 0.0, "")]
    assert rerun.compare_metrics({"n_seeds": 2}, {"n_seeds": 3}, rules) == [Difference("n_seeds", 2.0, 3.0, None)]
    assert rerun.compare_metrics({"n_seeds": 2}, {"n_seeds": 2}, rules) == []
