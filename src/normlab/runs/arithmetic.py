"""The arithmetic of training: float32, or the reduced precisions that a processor may be faster in.

Only training is ever reduced. Measurements and tests of accuracy are in float32 whatever a run was trained in.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from normlab.specs.strict import InputError
from normlab.specs.training import TrainSpec


def check_precision(train: TrainSpec, device: torch.device) -> None:
    """Refuse a precision that the device has no arithmetic for: it would be emulated, and slower than float32.

    `train.precision_forced` lets bf16 through. tf32 cannot be emulated, so it is refused all the same.

    Raises:
        InputError: with what is there.
    """
    if train.precision == "float32" or (train.precision == "bf16" and train.precision_forced):
        return
    if train.precision == "tf32":
        if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
            raise InputError(f"train.precision: tf32 needs a CUDA device of capability 8.0 or more, got {device}")
    elif not has_bf16(device):
        raise InputError(
            f"train.precision: bf16 has no arithmetic on this {device.type} and would be slower than float32; "
            "train.precision_forced: true takes it all the same"
        )


def has_bf16(device: torch.device) -> bool:
    """Whether products of bf16 are an instruction of the device: tensor cores, AVX-512 BF16, AMX, or ARM's."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & _processor_flags())


def _processor_flags() -> set[str]:
    """The instruction sets that the system names; none where it has no such list."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return set().union(*(line.split() for line in re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)))


@contextmanager
def training_in(precision: str) -> Iterator[None]:
    """Forward and backward passes of a training step run in this block; tf32 rounds the factors of float32 products."""
    if precision != "tf32":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def forward_in(precision: str, device: torch.device) -> torch.autocast:
    """A block for the forward pass of a training step: with bf16, products of layers are made in it.

    Weights, gradients and the update stay in float32, so there is nothing to scale; the backward pass follows the types
    of the forward one by itself.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
