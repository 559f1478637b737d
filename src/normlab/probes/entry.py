"""The way into the objective of a model: arguments checked, everything remembered, and put back on leaving.

The model is left as it was, bit for bit, also after an exception or Ctrl-C (`normlab.probes.preservation`).
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.data import DataLoader

from normlab.probes.accepted import batch_coupled_names, check_model, check_state, checked_modules, unwrapped
from normlab.probes.bare import bare
from normlab.probes.inventory import Inventory
from normlab.probes.objective import Batch, LossFn, Objective
from normlab.probes.precision import full_precision
from normlab.probes.preservation import preserved


@contextmanager
def objective_at(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    *,
    mode: str = "train",
    also: Sequence[nn.Module] = (),
    trainable: bool = True,
) -> Iterator[Objective]:
    """Enter the objective of a model on one batch; on leaving, however, everything is as it was.

    Args:
        model: any module with float32 or float64 parameters.
        loss_fn: `loss_fn(model, batch)` → scalar tensor attached to the graph.
        batch: one batch, whatever `loss_fn` understands. A list of several batches is not accumulated: batch
            statistics belong to one batch, so their average over chunks is not the statistic of the union.
        mode: "train" (batch statistics, Dropout on) or "eval"; set on every submodule, frozen ones included.
        also: modules outside of the model whose state the loss changes; they keep their mode.
        trainable: refuse a model without trainable parameters.

    Raises:
        TypeError: not a module, not callable, bfloat16 or half, ScriptModules, a data-parallel wrapper over several
            devices.
        ValueError: an unknown mode, a loader or iterator as the batch or an iterator in it, no trainable parameter,
            parameters not yet initialized, without values (meta) or over one memory.
    """
    if mode not in ("train", "eval"):
        raise ValueError(f"mode must be 'train' or 'eval', got {mode!r}")
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be callable as loss_fn(model, batch), got {type(loss_fn).__name__}")
    if isinstance(batch, Iterator):
        raise ValueError(f"batch must be one batch, got an iterator ({type(batch).__name__}); pass next(iterator)")
    if isinstance(batch, DataLoader):
        raise ValueError(f"batch must be one batch, got a {type(batch).__name__}; pass it as batches=")
    model = unwrapped(model)
    also = checked_modules(also)
    inventory = Inventory(model)
    dtype = check_model(inventory, trainable)
    if mode == "eval" and (coupled := batch_coupled_names(model)):
        warnings.warn(
            f"mode='eval': {len(coupled)} batch-coupled normalizers ({coupled[0]!r}, …) are measured with their "
            "running statistics, not with the batch statistics that training uses",
            stacklevel=5,
        )
    with (
        bare(module for _, module in inventory.modules),
        preserved(model, batch, [loss_fn], also, mode, inventory) as state,
        full_precision(),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        check_state(state)
        objective = Objective(model, loss_fn, batch, dtype, state)
        if not state.reach.complete:
            objective.notes.append("model, batch and loss_fn reach too many objects: the farthest were not remembered")
        yield objective
