"""Which models can be probed: wrappers opened, and whatever cannot be measured refused in one line."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy

from normlab.probes.inventory import Inventory
from normlab.probes.precision import floating_dtype
from normlab.probes.preservation import ModelState
from normlab.probes.vectors import shown

# by name, because importing torch's compiler or its distributed package costs seconds
_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside torch.compile, DistributedDataParallel and one-device DataParallel wrappers.

    In DistributedDataParallel that is the replica of this process: a probe of it does not communicate, and its batch
    statistics are those of the batch that it is given.

    Raises:
        TypeError: not a module, or one whose weights or batches are spread over several devices.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        kind = type(module).__name__
        several = isinstance(module, nn.DataParallel) and len(module.device_ids) > 1
        if several or kind == "FullyShardedDataParallel":
            raise TypeError(
                f"{kind} at {name or 'the top'!r}: its weights or batches are spread over several devices, each with "
                "the statistics of its own chunk; probe the wrapped module (model.module) on one device"
            )
    while inner := [_WRAPPERS[base.__name__] for base in type(model).__mro__ if base.__name__ in _WRAPPERS]:
        model = model.get_submodule(inner[0])
    return model


def batch_coupled_names(model: nn.Module) -> list[str]:
    """Names of the normalizers whose training output couples the samples of a batch (or that keep running
    statistics of it): every torch BatchNorm, InstanceNorm with running statistics, and any module with a true
    attribute `batch_coupled`, as normlab's own have."""
    # private bases: the public classes are one a dimension, and other people's derive from the bases directly
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        or (isinstance(module, _InstanceNorm) and module.track_running_stats)
        or getattr(module, "batch_coupled", False) is True
    ]


def check_model(inventory: Inventory, trainable: bool) -> torch.dtype:
    """The floating type that results of this model have.

    Raises:
        TypeError: bfloat16 or half, a ScriptModule.
        ValueError: parameters without values or made under inference mode, no trainable parameter although there must
            be one.
    """
    for name, module in inventory.modules:
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"{name or 'the model'!r} is a ScriptModule, whose attributes lie outside of Python and cannot be "
                "remembered; probe the Python module that it was made from"
            )
    for name, tensor in (*inventory.parameters, *inventory.buffers):
        if is_lazy(tensor):
            raise ValueError(f"parameter {name!r} is not initialized yet; run the model once before probing it")
        if tensor.is_meta:
            raise ValueError(f"{name!r} is on the meta device: it has no values to measure; load the model first")
    dtype = floating_dtype(inventory)
    for name, parameter in inventory.parameters if trainable else ():
        if parameter.requires_grad and parameter.is_inference():
            raise ValueError(
                f"parameter {name!r} was made under torch.inference_mode(), and autograd has no gradient of such a "
                "tensor; make the model outside of it"
            )
    if trainable and not inventory.trainable:
        raise ValueError("the model has no trainable parameter: at least one must have requires_grad=True")
    return dtype


def checked_modules(also: Any) -> Sequence[nn.Module]:
    """The argument `also`: modules outside of the model.

    Raises:
        TypeError: not a list of modules.
    """
    also = [also] if isinstance(also, nn.Module) else also
    if not isinstance(also, list | tuple | nn.ModuleList) or not all(isinstance(m, nn.Module) for m in also):
        raise TypeError(f"also must be a list of torch.nn.Modules outside of the model, got {shown(also)}")
    return list(also)


def checked_names(layers: Any) -> Sequence[str]:
    """The argument `layers`: names of modules, or patterns of them.

    Raises:
        TypeError: not a sequence of strings.
    """
    if isinstance(layers, str) or not isinstance(layers, Sequence) or not all(isinstance(n, str) for n in layers):
        raise TypeError(f"layers must be a sequence of module names, got {shown(layers)}")
    return layers


def check_state(state: ModelState) -> None:
    """Refuse what no evaluation can be repeated on.

    Raises:
        ValueError: an iterator in the batch, two trainable parameters over one memory.
    """
    if state.reach.iterators:
        raise ValueError(
            f"the batch holds an iterator ({state.reach.iterators[0]}), which the first evaluation would use up; put "
            "what it yields into the batch, as a list"
        )
    pair = state.shared_weights()
    if pair and pair[0] == pair[1]:
        raise ValueError(f"elements of parameter {pair[0]!r} share memory (it is expanded), so none can move alone")
    if pair:
        raise ValueError(
            f"parameters {pair[0]!r} and {pair[1]!r} lie in the same memory, so a step of one moves the other; tie "
            "them as one parameter (a.weight = b.weight), or freeze one of the two"
        )


def matching(patterns: Sequence[str], valid: Sequence[str]) -> list[str] | None:
    """Names in the order of the patterns: each is a name, or a pattern ("features.*") for those that match it, in the
    model's order; None at the first one without any."""
    found: list[str] = []
    for pattern in patterns:
        names = [pattern] if pattern in valid else [name for name in valid if name and fnmatchcase(name, pattern)]
        if not names:
            return None
        found += [name for name in names if name not in found]
    return found
