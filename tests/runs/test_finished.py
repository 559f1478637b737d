"""A finished run's checkpoints are taken for what they say they are, and for nothing else."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from tests import tiny

from normlab.runs.checkpoint import Checkpoint, checkpoint_path, save_checkpoint
from normlab.runs.finished import load_trained, read_checkpoint, read_run, restore, write_run
from normlab.runs.networks import build_network, build_optimizer
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


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run with momentum and all its checkpoints."""
    run = tiny.run_spec("batch", momentum=0.5)
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    save = lambda c: save_checkpoint(checkpoint_path(tmp_path, c.step), c)  # noqa: E731
    history = fit(run, batches, test, on_checkpoint=save)
    write_run(tmp_path, run, history, 1, torch.device("cpu"), run.train.checkpoint_steps)
    return tmp_path


def test_model_and_optimizer_are_put_into_the_state_of_a_checkpoint(finished: Path) -> None:
    run = tiny.run_spec("batch", momentum=0.5)
    model = build_network(run, 3)
    optimizer = build_optimizer(model, run)
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))
    checkpoint = read_checkpoint(run, finished, 4)
    restore(model, optimizer, checkpoint, run)
    assert tiny.same_state(model.state_dict(), checkpoint.model)
    assert all(parameter.grad is None for parameter in model.parameters())
    for index, parameter in enumerate(model.parameters()):
        momentum = checkpoint.optimizer["state"][index]["momentum_buffer"]
        assert torch.equal(optimizer.state[parameter]["momentum_buffer"], momentum)
    with pytest.raises(ValueError, match="checkpoint of step 4 belongs to"):
        restore(model, None, checkpoint, tiny.run_spec("batch"))


@pytest.mark.parametrize("damage", ["name", "shape", "optimizer"])
def test_weights_that_do_not_fit_are_refused_in_a_line(finished: Path, damage: str) -> None:
    run = tiny.run_spec("batch", momentum=0.5)
    model = build_network(run, 3)
    checkpoint = read_checkpoint(run, finished, 2)
    name = next(iter(checkpoint.model))
    if damage == "name":
        checkpoint.model["other"] = checkpoint.model.pop(name)
    elif damage == "shape":
        checkpoint.model[name] = checkpoint.model[name][:, :1]
    else:
        checkpoint.optimizer.pop("param_groups")
    with pytest.raises(InputError, match=r"^checkpoints/step-000002\.pt: does not fit the network of vgg11-batch"):
        restore(model, build_optimizer(model, run), checkpoint, run)


def test_a_folder_of_other_settings_or_without_a_checkpoint_is_not_taken(finished: Path) -> None:
    run = tiny.run_spec("batch", momentum=0.5)
    assert read_run(finished, run.train) == run
    with pytest.raises(InputError, match="was trained under other settings than `train` has now; run the train stage"):
        read_run(finished, tiny.run_spec("batch").train)
    checkpoint_path(finished, 4).unlink()
    with pytest.raises(InputError, match=r"step-000004\.pt: no such file; 4 of 5 checkpoints are there; run the train"):
        read_run(finished, run.train)
    summary = json.loads((finished / "summary.json").read_text())
    (finished / "summary.json").write_text(json.dumps({**summary, "checkpoints": [0, 1, 2, 6]}))
    with pytest.raises(InputError, match=r"names checkpoints of the steps \[0, 1, 2, 6\], expected all of"):
        read_run(finished, run.train)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file; run the train"), (b"PK", r"not a readable checkpoint.*; run the train")]
)
def test_a_checkpoint_that_cannot_be_read_is_told_with_what_to_do(
    finished: Path, content: bytes | None, said: str
) -> None:
    path = checkpoint_path(finished, 2)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_checkpoint(tiny.run_spec("batch", momentum=0.5), finished, 2)


def test_a_summary_is_read_by_people_too(finished: Path) -> None:
    text = (finished / "summary.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2) + "\n"
