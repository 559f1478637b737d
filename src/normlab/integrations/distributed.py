"""Probes in a training on several processes (`DistributedDataParallel`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


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
            Everything else must be the same on all processes.
        group: the processes; all by default.

    Returns:
        The whole batch, on the device of this process's batch; `batch` itself where nothing is distributed.

    Raises:
        ValueError: the batches differ in their structure.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return batch
    first = dist.get_rank(group) == 0
    parts: list[Any] | None = [None] * dist.get_world_size(group) if first else None
    dist.gather_object(
        _on(batch, "cpu"), parts, dst=0 if group is None else dist.get_global_rank(group, 0), group=group
    )
    return None if parts is None else _joined(parts, batch)


def _on(value: Any, device: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to(device)
    if isinstance(value, Mapping):
        return {key: _on(member, device) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_on(member, device) for member in value]
    return value


def _joined(parts: Sequence[Any], like: Any) -> Any:
    """Parts of one batch as a whole, with the containers and devices of `like`."""
    if isinstance(like, Tensor):
        return torch.cat(list(parts)).to(like.device)
    if isinstance(like, Mapping):
        return type(like)({key: _joined([part[key] for part in parts], member) for key, member in like.items()})  # type: ignore[call-arg]
    if isinstance(like, list | tuple):
        if len({len(part) for part in parts}) > 1:
            raise ValueError(
                f"the processes' batches have {[len(part) for part in parts]} entries: they cannot be joined"
            )
        members = [_joined(column, member) for column, member in zip(zip(*parts, strict=True), like, strict=True)]
        return type(like)(*members) if hasattr(like, "_fields") else type(like)(members)
    if any(part != like for part in parts):
        raise ValueError(f"the processes' batches hold {like!r:.80} and something else: they cannot be joined")
    return like
