"""A finished run's checkpoints are taken for what they say they are, and for nothing else."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from tests import tiny

from normlab.runs.checkpoint import Checkpoint, checkpoint_path, save_checkpoint
from normlab.runs.finished import load_trained, read_checkpoint, write_run
from normlab.runs.training import fit
from normlab.specs.strict import InputError


@pytest.mark.parametrize("named", [0, 4])
def test_a_checkpoint_of_an_earlier_or_a_later_step_is_refused(tmp_path: Path, named: int) -> None:
    run = tiny.run_spec("none")
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    fit(run, batches, test, on_checkpoint=lambda c: save_checkpoint(checkpoint_path(tmp_path, c.step), c))
    assert read_checkpoint(run, tmp_path, 2).step == 2
    shutil.copyfile(checkpoint_path(tmp_path, 2), checkpoint_path(tmp_path, named))
    with pytest.raises(InputError, match="belongs to other settings than vgg11-none"):
        read_checkpoint(run, tmp_path, named)


def test_a_checkpoint_of_the_same_step_of_another_run_is_refused(tmp_path: Path) -> None:
    run = tiny.run_spec("none")
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    fit(run, batches, test, on_checkpoint=lambda c: save_checkpoint(checkpoint_path(tmp_path, c.step), c))
    other = tiny.run_spec("none", seed=run.seed + 1)
    with pytest.raises(InputError, match=re.escape(f"belongs to other settings than {other.name} has now")):
        read_checkpoint(other, tmp_path, 2)


def test_the_network_of_a_step_and_none_after_the_run_diverged(tmp_path: Path) -> None:
    run = tiny.run_spec("none")
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    saved = {}

    def save(checkpoint: Checkpoint) -> None:
        saved[checkpoint.step] = {name: value.clone() for name, value in checkpoint.model.items()}  # training goes on
        save_checkpoint(checkpoint_path(tmp_path, checkpoint.step), checkpoint)

    history = fit(run, batches, test, on_checkpoint=save)
    write_run(tmp_path, run, history, 1, torch.device("cpu"), run.train.checkpoint_steps)
    model = load_trained(run, tmp_path, 2, len(test.classes))
    assert model is not None
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved[2][name].to(value.dtype))
    summary = tmp_path / "summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "diverged_at": 1}))
    assert load_trained(run, tmp_path, 2, len(test.classes)) is None
