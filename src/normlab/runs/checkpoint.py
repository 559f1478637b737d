"""Checkpoints: the state before one update, in a file whose bytes depend on that state alone."""

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from normlab.specs.training import checkpoint_file


@dataclass(frozen=True)
class Checkpoint:
    """Everything that update `step` starts from.

    Attributes:
        step: t; the weights are those **before** update t (0-based).
        spec: the run's settings as plain values.
        model: parameters and buffers by name, on the CPU.
        optimizer: the optimizer's `state_dict()`.
    """

    step: int
    spec: dict[str, Any]
    model: dict[str, Tensor]
    optimizer: dict[str, Any]


def checkpoint_path(folder: str | Path, step: int) -> Path:
    """Where the checkpoint of `step` lies in a run's folder."""
    return Path(folder) / checkpoint_file(step)


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path` in one go: a reader sees the old file or the whole new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()  # a file would put its own name into the archive
    torch.save(vars(portable(checkpoint)), buffer)
    partial = path.with_suffix(".partial")
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """The checkpoint at `path`; only tensors and plain values are ever unpickled.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is not a checkpoint.
    """
    try:
        checkpoint = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
        if not _is_whole(checkpoint):
            raise TypeError
        return checkpoint
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: not a readable checkpoint ({type(error).__name__})") from error


def portable(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint as it would be read back from its file: apart from the training that it was taken from."""
    return Checkpoint(**_portable(vars(checkpoint)))


def _is_whole(checkpoint: Checkpoint) -> bool:
    kinds = {"step": int, "spec": dict, "model": dict, "optimizer": dict}
    fields = all(isinstance(getattr(checkpoint, name), kind) for name, kind in kinds.items())
    return fields and all(isinstance(tensor, Tensor) for tensor in checkpoint.model.values())


def _portable(value: Any) -> Any:
    """The same values without a trace of where they have been: no device, stride, view or identity reaches the file.

    Pickle writes a string that it has met as a reference, and asks whether it is the same object; so equal ones are.
    """
    if isinstance(value, Tensor):
        return value.detach().cpu().contiguous().clone()
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {_portable(key): _portable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_portable(entry) for entry in value)
    return value
