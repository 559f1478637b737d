"""The output folder of a training: written whole, and read back by the studies that look at it afterwards."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

import torch
from torch import nn

from normlab.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from normlab.runs.networks import build_network
from normlab.runs.training import History
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec, TrainSpec, checkpoint_file
from normlab.tables.summaries import POINT, read_summary


def write_run(
    folder: Path, run: RunSpec, history: History, parameters: int, device: torch.device, kept: Collection[int]
) -> None:
    """Write `history.parquet`, `test.parquet` and `summary.json` beside the checkpoints that lie in `folder`.

    And `held_out.parquet` where images are held out of training.

    Args:
        folder: the run's folder.
        run: the spec.
        history: what `fit` saw.
        parameters: how many numbers the network has.
        device: where it was trained.
        kept: the steps of the schedule whose checkpoints were to be kept.

    Raises:
        InputError: one of these checkpoints is not there.
    """
    steps = [step for step in run.train.reached(history.diverged_at) if step in kept]
    _check_files(folder, steps)
    for name, table in (("history", history.steps), ("test", history.test), ("held_out", history.held_out)):
        if table is not None:
            table.to_parquet(folder / f"{name}.parquet", index=False)
    summary = {
        "name": run.name,
        "study": run.study,
        "spec": run.as_dict(),
        "spec_digest": run.digest,
        "parameters": parameters,
        "diverged_at": history.diverged_at,
        "checkpoints": steps,
        "device": device.type,
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")


def read_run(folder: Path, train: TrainSpec) -> RunSpec:
    """The run whose output folder this is.

    Args:
        folder: the output folder of a training.
        train: the settings of now, which must be those that it was trained under.

    Raises:
        InputError: `summary.json` is missing or none, the settings are others, or a checkpoint is missing.
    """
    summary = read_summary(folder / "summary.json")
    point = {key: summary["spec"][key] for key in POINT}
    variant = summary["spec"].get("variant", "")
    run = RunSpec(**point, train=train.varied(variant, str(folder / "summary.json")), variant=variant)
    if summary["spec"] != json.loads(json.dumps(run.as_dict())):
        raise InputError(f"{folder}: was trained under other settings than `train` has now; run the train stage again")
    read_steps(folder, run)
    return run


def read_steps(folder: Path, run: RunSpec) -> tuple[int, ...]:
    """The steps of the checkpoints of a finished run, which are all that its spec asks for, in increasing order.

    Raises:
        InputError: one of them is missing.
    """
    summary = read_summary(folder / "summary.json")
    reason = run.train.why_not_whole(summary["checkpoints"], summary["diverged_at"])
    if reason:
        raise InputError(f"{folder / 'summary.json'}: {reason}; run the train stage again")
    _check_files(folder, summary["checkpoints"])
    return tuple(summary["checkpoints"])


def read_checkpoint(run: RunSpec, folder: Path, step: int) -> Checkpoint:
    """The checkpoint of `step` in the folder of `run`.

    Raises:
        InputError: it is missing, damaged, or of another step or spec.
    """
    path = checkpoint_path(folder, step)
    try:
        checkpoint = load_checkpoint(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the train stage again") from None
    except ValueError as error:
        raise InputError(f"{error}; run the train stage again") from None
    if checkpoint.spec != run.as_dict() or checkpoint.step != step:
        raise InputError(f"{path}: belongs to other settings than {run.name} has now; run the train stage again")
    return checkpoint


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
    if step not in run.train.reached(read_summary(folder / "summary.json")["diverged_at"]):
        return None
    model = build_network(run, num_classes, device)
    restore(model, None, read_checkpoint(run, folder, step), run)
    return model.double().train()


def restore(model: nn.Module, optimizer: torch.optim.Optimizer | None, checkpoint: Checkpoint, run: RunSpec) -> None:
    """Put `model`, and `optimizer` if there is one, into the state of `checkpoint`.

    Raises:
        ValueError: the checkpoint was written under another spec than `run`.
        InputError: its weights are not those of the network.
    """
    if checkpoint.spec != run.as_dict():
        raise ValueError(f"checkpoint of step {checkpoint.step} belongs to {checkpoint.spec}, not to {run.as_dict()}")
    try:
        model.load_state_dict(checkpoint.model)
        if optimizer is not None:
            optimizer.load_state_dict(checkpoint.optimizer)
            optimizer.zero_grad(set_to_none=True)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError):  # what torch raises, by what is wrong
        file = checkpoint_file(checkpoint.step)
        raise InputError(f"{file}: does not fit the network of {run.name}; run the train stage again") from None


def _check_files(folder: Path, steps: Iterable[int]) -> None:
    """The spec says what has to be there; what a folder happens to hold does not."""
    wanted = [checkpoint_path(folder, step) for step in steps]
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]}: no such file; {len(wanted) - len(missing)} of {len(wanted)} checkpoints are there; run the "
            "train stage again"
        )
