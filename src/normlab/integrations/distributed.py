"""Probes in a training on several processes (`DistributedDataParallel`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from normlab.probes.vectors import shown


def gathered(batch: Any, group: dist.ProcessGroup | None = None) -> Any:
    """The batches of all processes as one, on rank 0; None on the others.

    A collective: every process calls it. SyncBatchNorm trains with the statistics of the whole batch, which one process
    does not see. A probe does not communicate (the other processes train on, or wait), so it is given the whole batch:

        whole = gathered(batch)                               # every process
        if dist.get_rank() == 0:
            landscape(model, loss_fn, whole, step_sizes)      # with the statistics that SyncBatchNorm trains with

    Plain BatchNorm in `DistributedDataParallel` trains with each process's own statistics: there, probe the batch of
    rank 0 as it is, or those of several processes as `batches=`.

    Args:
        batch: a tensor, or tensors in dicts, lists, tuples; joined along their first dimension, in the order of ranks.
            Everything else, such as arrays, must be the same on all processes.
        group: the processes; all by default.

    Returns:
        The whole batch, on the device of this process's batch; `batch` itself where nothing is distributed.

    Raises:
        ValueError: on rank 0, if the batches differ in their structure, in a dimension of a tensor after its first, or
            in something that is no tensor; or if a tensor has no first dimension. The message names the entry.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return batch
    first = dist.get_rank(group) == 0
    parts: list[Any] | None = [None] * dist.get_world_size(group) if first else None
    dist.gather_object(
        _on(batch, "cpu"), parts, dst=0 if group is None else dist.get_global_rank(group, 0), group=group
    )
    return None if parts is None else _joined(parts, batch, "batch")


def _on(value: Any, device: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to(device)
    if isinstance(value, Mapping):
        return {key: _on(member, device) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_on(member, device) for member in value]
    return value


def _joined(parts: Sequence[Any], like: Any, entry: str) -> Any:
    """Parts of one batch as a whole, with the containers and devices of `like`, which is rank 0's."""
    mine = _structure(like)
    for rank, part in enumerate(parts):
        other = _structure(part)
        if other != mine or not (mine or _same(part, like)):
            here, there = mine or shown(like), other or shown(part)
            raise ValueError(f"{entry} is {here} on rank 0 and {there} on rank {rank}: they cannot be joined")
    if isinstance(like, Tensor):
        if not like.ndim:
            raise ValueError(f"{entry} is a tensor without dimensions: it cannot be joined along the first")
        return torch.cat(list(parts)).to(like.device)
    if isinstance(like, Mapping):
        whole = {
            key: _joined([part[key] for part in parts], member, f"{entry}[{key!r}]") for key, member in like.items()
        }
        return type(like)(whole)  # type: ignore[call-arg]
    if isinstance(like, list | tuple):
        members = [
            _joined([part[place] for part in parts], member, f"{entry}[{place}]") for place, member in enumerate(like)
        ]
        return type(like)(*members) if hasattr(like, "_fields") else type(like)(members)
    return like


def _structure(value: Any) -> str:
    """What parts must have in common to be joined, in words; "" for what is not joined but must be the same."""
    if isinstance(value, Tensor):
        return (
            f"a tensor of shape ({', '.join(['…', *map(str, value.shape[1:])])})"
            if value.ndim
            else "a tensor without dimensions"
        )
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(sorted(map(repr, value)))}"
    return f"a list of {len(value)}" if isinstance(value, list | tuple) else ""


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal, arrays and tables element by element; NaN is the same as NaN."""
    if getattr(one, "shape", None) != getattr(other, "shape", None):  # shapes that broadcast compare too
        return False
    try:
        return bool(np.all((one == other) | ((one != one) & (other != other))))
    except (TypeError, ValueError, RuntimeError):  # objects that cannot tell, such as those that hold tensors
        return False
