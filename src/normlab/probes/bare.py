"""What training frameworks hang on a model, taken off for the time of a probe."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import CheckpointFunction, checkpoint

from normlab.probes.interrupts import closed_undisturbed


@contextmanager
def bare(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Every module computes on this process alone and in its own precision.

    SyncBatchNorm takes the statistics of the batch that it is given, as BatchNorm does: in training it would wait for
    the other processes, which do not probe. What Accelerate puts around a forward pass (autocast) is left out. A
    reentrant checkpoint saves its memory by the other way: its own has no second derivative and no gradient for given
    parameters, silently where its input comes from frozen layers.
    """
    with closed_undisturbed() as stack:
        stack.callback(_put_back, CheckpointFunction, "apply", CheckpointFunction.__dict__.get("apply"))
        setattr(CheckpointFunction, "apply", staticmethod(_without_reentry))  # noqa: B010 (its annotation is a method)
        for module in modules:
            own = _own_forward(module)
            if own is not None:
                stack.callback(_put_back, module, "forward", module.__dict__.get("forward"))
                module.__dict__["forward"] = own
        yield


def _without_reentry(function: Any, preserve_rng_state: bool, *args: Any) -> Any:
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=preserve_rng_state)


def _own_forward(module: nn.Module) -> Any:
    """The forward pass to use in place of the present one; None for nearly all modules."""
    if isinstance(module, nn.SyncBatchNorm) and type(module).forward is nn.SyncBatchNorm.forward:
        return MethodType(_BatchNorm.forward, module)  # private, and the only one that takes all dimensions
    return module.__dict__.get("_original_forward")  # Accelerate's name for what it has wrapped


def _put_back(owner: Any, name: str, value: Any) -> None:
    """An attribute of the owner's own, as before; one that was inherited is inherited again."""
    if value is not None:
        setattr(owner, name, value)
    elif name in owner.__dict__:
        delattr(owner, name)
