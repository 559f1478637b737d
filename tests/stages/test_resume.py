"""A computation that is stopped at any moment and started again ends with the bytes of one that was never stopped."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests import tiny
from tests.studies.deep_linear.test_study import SPEC

pytestmark = pytest.mark.pipeline

STEPS = 60
PROBE = "probe: {step_sizes: [1.0], random_directions: false, curvature: false, units: 4}"
KILLS = 5
# One process that has imported the program and forks for each attempt. An attempt is killed a random moment after it
# has written a resume point, the last one may finish; prints how each one ended.
ATTEMPTS = """
import importlib, json, os, random, signal, sys, time
from pathlib import Path
stage, arguments, outputs, kills, seed = json.loads(sys.argv[1])
program, draws = importlib.import_module(f"normlab.stages.{stage}"), random.Random(seed)
def written(point):
    return point.stat().st_mtime_ns if point.exists() else 0
for output, attempts in zip(outputs, (1, kills + 1)):
    point = Path("scratch/resume") / output[1] / "point.pt"
    for attempt in range(1, attempts + 1):
        before, ended = written(point), (0, 0)
        child = os.fork()
        if child == 0:
            program.main([*arguments, *output, "--resume-every", "0"])
            os._exit(0)
        while attempt < attempts and ended == (0, 0) and written(point) == before:
            time.sleep(0.001)
            ended = os.waitpid(child, os.WNOHANG)
        if attempt < attempts and ended == (0, 0):
            time.sleep(draws.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
        print("ended", ended[1] if any(ended) else os.waitpid(child, 0)[1], flush=True)
"""


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run_whole_and_killed(stage: str, arguments: list[str], whole: list[str], killed: list[str]) -> str:
    """Run the stage program once in peace and once killed `KILLS` times; what it printed."""
    seed = random.SystemRandom().randrange(2**32)
    order = json.dumps([stage, arguments, [whole, killed], KILLS, seed])
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, order], capture_output=True, text=True, check=False, timeout=300
    )
    ends = [line.removeprefix("ended ") for line in done.stdout.splitlines() if line.startswith("ended ")]
    expected = ["0", *[str(int(signal.SIGKILL))] * KILLS, "0"]
    assert ends == expected, f"seed {seed}: {done.stdout} {done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.parametrize("stage", ["train", "measure"])
def test_a_training_killed_five_times_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_data(tmp_path / "data")
    kept = "few" if stage == "measure" else "all"
    settings = f"width: 0.0625, batch_size: 16, steps: {STEPS}, test_every: 20, checkpoint_every: 20, momentum: 0.9"
    sections = [f"train: {{{settings}, augment: true, checkpoints: {kept}}}", PROBE]
    (tmp_path / "params.yaml").write_text("\n".join(sections))
    grid_point = ["--network", "vgg11", "--norm-layer", "noisy_batch", "--learning-rate", "0.02", "--seed", "0"]
    outputs = [["--out", f"runs/{name}"] for name in ("whole", "killed")]
    if stage == "measure":
        outputs = [[*output, "--probes", output[1].replace("runs", "probes")] for output in outputs]
    printed = run_whole_and_killed(stage, ["--data", "data", *grid_point], *outputs)
    assert printed.count("runs/killed: goes on from step") == KILLS
    for folder in {"train": ("runs",), "measure": ("runs", "probes")}[stage]:
        assert folder_bytes(tmp_path / folder / "killed") == folder_bytes(tmp_path / folder / "whole")
        assert sorted(os.listdir(folder)) == ["killed", "whole"]
    assert [path for path in Path("scratch").rglob("*") if path.is_file()] == []


def test_a_deep_linear_cell_killed_five_times_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    section = json.loads(json.dumps({**dataclasses.asdict(SPEC), "steps": 40}))  # tuples as lists
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"dln": section}))
    cell = ["--norm-layer", "batch", "--learning-rate", "0.002"]
    printed = run_whole_and_killed("dln", cell, ["--out", "dln/whole"], ["--out", "dln/killed"])
    assert printed.count("dln/killed: goes on from step") == KILLS
    assert folder_bytes(tmp_path / "dln/killed") == folder_bytes(tmp_path / "dln/whole")
