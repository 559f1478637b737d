"""Predicted disk space is what the files take."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests import tiny

from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.cost import Cost, predict_cost
from normlab.runs.networks import checkpoint_bytes
from normlab.runs.training import fit
from normlab.specs.study import read_study
from normlab.studies.limits import checkpoints_bytes

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = 200  # bytes at most that a checkpoint file takes for each tensor: its name, place and alignment


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_disk_is_predicted_from_the_spec(tmp_path: Path, momentum: float) -> None:
    run = tiny.run_spec("batch", momentum=momentum)
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    fit(run, batches, test, on_checkpoint=lambda c: save_checkpoint(checkpoint_path(tmp_path, c.step), c))
    taken = checkpoint_path(tmp_path, run.train.steps).stat().st_size
    tensors = 8 * 7 + 2 + (8 * 3 + 2) * bool(momentum)  # eight blocks: kernel and bias, gamma, beta and three buffers
    assert 0 < taken - checkpoint_bytes(run, 3) < tensors * 2 * ARCHIVE + 4000


def test_time_is_predicted_from_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches, _ = tiny.load(tiny.write_data(tmp_path / "data"))
    clock = iter([100.0, 107.5])  # when the timed steps begin and end
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    cost = predict_cost(tiny.run_spec("none"), batches, torch.device("cpu"), kept=[0, 6], timed_steps=3)
    assert cost.seconds == 15  # six steps of 2.5 s


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (Cost(119.6, 12_345_678, 3, 1_234_567), "1,234,567 parameters, about 120 s, 3 checkpoints of 12 MB in all"),
        (Cost(120.0, 499_999, 1, 9), "9 parameters, about 2 min, 1 checkpoints of 0 MB in all"),
        (Cost(5432.0, 2_000_000_000, 12, 1000), "1,000 parameters, about 91 min, 12 checkpoints of 2000 MB in all"),
    ],
)
def test_a_cost_is_said_in_a_line(cost: Cost, said: str) -> None:
    assert str(cost) == said


def test_disk_and_parameters_are_counted(tmp_path: Path) -> None:
    batches, _ = tiny.load(tiny.write_data(tmp_path / "data"))
    cost = predict_cost(tiny.run_spec("none"), batches, torch.device("cpu"), kept=[0, 2, 6], timed_steps=1)
    widths = [3, 4, 8, 16, 16, 32, 32, 32, 32]  # a VGG-11 of 1/16
    parameters = sum(9 * a * b + b for a, b in pairwise(widths)) + 33 * 3
    assert (cost.parameters, cost.checkpoints) == (parameters, 3)
    assert cost.disk_bytes == 3 * 4 * parameters  # float32, and no buffers


def test_the_preset_paper_fits_on_sixty_gigabytes() -> None:
    study = read_study(ROOT / "presets/paper.yaml")
    twice = 2 * checkpoints_bytes(study)  # DVC's cache and the working tree
    assert 10e9 < twice < 60e9
    everything = replace(study, train=replace(study.train, checkpoints="all"))
    assert twice < 0.1 * checkpoints_bytes(everything)
