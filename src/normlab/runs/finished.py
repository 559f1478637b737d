"""Networks at the checkpoints of trained runs, for studies that look at them afterwards."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from normlab.runs.checkpoint import checkpoint_path, load_checkpoint
from normlab.runs.networks import build_network
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec, TrainSpec


def read_run(folder: Path, train: TrainSpec) -> RunSpec:
    """The run whose output folder this is, with the settings that `train` has now.

    Raises:
        InputError: `summary.json` is missing or no JSON.
    """
    point = _load_summary(folder)["spec"]
    return RunSpec(**{key: point[key] for key in ("network", "norm_layer", "learning_rate", "seed")}, train=train)


def check_steps(steps: Sequence[int], run: RunSpec, where: str) -> None:
    """Refuse steps that no run of these settings keeps a checkpoint of.

    Args:
        steps: the steps asked for.
        run: any of the runs.
        where: the key of params.yaml, for the message.

    Raises:
        InputError: a step is not on the schedule of `train`.
    """
    schedule = run.train.checkpoint_steps
    for step in steps:
        if step not in schedule:
            raise InputError(
                f"{where}: train keeps no checkpoint of step {step}; there are: {', '.join(map(str, schedule))}"
            )


def load_trained(
    run: RunSpec, folder: Path, step: int, num_classes: int, device: torch.device | str = "cpu"
) -> nn.Module | None:
    """The network of `run` with the weights before update `step`, in train mode and float64.

    Args:
        run: the spec; the checkpoint must have been written under it.
        folder: the run's folder, with `summary.json` and `checkpoints/`.
        step: a step of the schedule.
        num_classes: of the data set.
        device: where the network shall lie.

    Returns:
        The network, or None if the run diverged before this step and has no such checkpoint.

    Raises:
        InputError: a file is missing or unreadable, or belongs to another spec.
    """
    diverged_at = _load_summary(folder)["diverged_at"]
    if diverged_at is not None and step > diverged_at:
        return None
    path = checkpoint_path(folder, step)
    try:
        checkpoint = load_checkpoint(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the train stage again") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    if checkpoint.spec != run.as_dict():
        raise InputError(f"{path}: belongs to other settings than {run.name} has now; run the train stage again")
    model = build_network(run, num_classes, device)
    model.load_state_dict(checkpoint.model)
    return model.double().train()


def _load_summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the output folder of a training run") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
