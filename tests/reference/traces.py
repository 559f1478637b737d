"""A witness that nothing was changed: remembers a model, its optimizer, batch, random streams and torch's switches."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def _bits(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().clone().numpy().tobytes()  # numpy would fix the size of its memory


def _collect(model: nn.Module, optimizer: torch.optim.Optimizer | None, batch: Any) -> dict[str, Any]:
    """Everything that must be equal afterwards; identities as `id`, values as bytes."""
    seen: dict[str, Any] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        seen[f"parameter {name}"] = (id(p), p.data_ptr(), p.requires_grad, _bits(p), p.stride())
        # a graph of the caller's stays valid; what a forward pass writes into frozen ones counts as a version of theirs
        seen[f"version {name}"] = p._version if p.requires_grad else 0
        seen[f"grad {name}"] = None if p.grad is None else (id(p.grad), _bits(p.grad))
    for name, b in model.named_buffers(remove_duplicate=False):
        seen[f"buffer {name}"] = (id(b), b.requires_grad, _bits(b))
    for name, module in model.named_modules(remove_duplicate=False):
        seen[f"mode {name}"] = module.training
        seen[f"attributes {name}"] = {key: id(value) for key, value in vars(module).items() if key != "training"}
        seen[f"hooks {name}"] = {key: list(value) for key, value in vars(module).items() if key.endswith("_hooks")}
        seen[f"numbers {name}"] = {k: v for k, v in vars(module).items() if isinstance(v, int | float | str)}
    if optimizer is not None:
        seen["optimizer"] = repr(optimizer.state_dict())
        seen["optimizer tensors"] = [
            (key, _bits(value)) for state in optimizer.state.values() for key, value in state.items()
            if isinstance(value, Tensor)
        ]  # fmt: skip
        seen["groups"] = [[id(p) for p in group["params"]] for group in optimizer.param_groups]
    tensors = batch.values() if isinstance(batch, dict) else batch
    seen["batch"] = [_bits(t) for t in tensors if isinstance(t, Tensor)]
    seen["torch"] = _bits(torch.get_rng_state())
    seen["cuda"] = [_bits(s) for s in torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else []
    state = np.random.get_state()
    seen["numpy"] = (state[0], state[1].tobytes(), *state[2:])
    seen["python"] = random.getstate()
    seen["switches"] = (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.enabled,
        torch.backends.mkldnn.enabled,
        # torch 2.6 has the older switches alone
        torch.backends.mkldnn.matmul.fp32_precision if hasattr(torch.backends, "fp32_precision") else None,
        torch.backends.mha.get_fastpath_enabled(),
    )
    return copy.copy(seen)


@contextmanager
def no_trace(model: nn.Module, batch: Any = (), optimizer: torch.optim.Optimizer | None = None) -> Iterator[None]:
    """The block changes nothing, whether it ends normally or by an exception (which passes through)."""
    before = _collect(model, optimizer, batch)
    try:
        yield
    finally:
        after = _collect(model, optimizer, batch)
        changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
        assert not changed, f"changed: {changed}"
