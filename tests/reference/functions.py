"""The demand on every walk over a model with state: it is a function of the weights, and leaves no trace."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.probes import landscape
from tests.reference.traces import no_trace

D = {"dtype": torch.float64}


def vectors() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1), **D), torch.arange(6) % 3


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def assert_function_of_the_weights(model: nn.Module, loss: Any = loss_fn, batch: Any = None, **options: Any) -> Any:
    """Same step size, same loss; the base point is that of a deep copy; no remark about hidden state."""
    batch = vectors() if batch is None else batch
    torch.manual_seed(3)
    truth = loss(*copy.deepcopy((model, batch))).item() if options.pop("twin", True) else None
    torch.manual_seed(3)
    with no_trace(model, batch if isinstance(batch, tuple) else ()):
        found = landscape(model, loss, batch, [0.3, 0.0, 0.3, 0.3, 0.0], **options)
    assert len({found.losses[i].item() for i in (0, 2, 3)}) == 1
    assert found.losses[1] == found.losses[4] == found.loss
    assert truth is None or found.loss == pytest.approx(truth, rel=1e-12)  # a sum may be split otherwise
    assert not [note for note in found.notes if "once more" in note]
    return found


def stepped(model: nn.Module, loss: Any, batch: Any, size: float) -> tuple[float, Tensor, Tensor]:
    """Loss and gradient after a step of plain SGD, and the gradient before it: each on a deep copy of its own, with the
    random draws that the caller would get next."""
    state = torch.get_rng_state()
    twin, moved = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    loss(twin, copy.deepcopy(batch)).backward()
    with torch.no_grad():
        for p, q in zip(moved.parameters(), twin.parameters(), strict=True):
            if q.grad is not None:
                p.sub_(size * q.grad)
    torch.set_rng_state(state)
    there = loss(moved, copy.deepcopy(batch))
    there.backward()
    torch.set_rng_state(state)
    return there.item(), _flat_gradient(moved), _flat_gradient(twin)


def _flat_gradient(model: nn.Module) -> Tensor:
    pairs = [(p, p.grad) for p in model.parameters() if p.requires_grad]
    dense = [torch.zeros_like(p) if g is None else g.to_dense() if g.is_sparse else g for p, g in pairs]
    return torch.cat([(torch.view_as_real(g) if g.is_complex() else g).reshape(-1) for g in dense])


def assert_walk_is_true(model: nn.Module, loss: Any = loss_fn, batch: Any = None, size: float = 0.5) -> None:
    """Three equal steps along the gradient find the loss and the gradient of the deep copy that was moved there."""
    batch = vectors() if batch is None else batch
    there, new, old = stepped(model, loss, batch, size)
    with no_trace(model, batch if isinstance(batch, tuple) else ()):
        found = landscape(model, loss, batch, [size, size, size])
    # the same operations in the same order on float64: only the order of sums may differ
    assert found.losses.tolist() == pytest.approx([there] * 3, rel=1e-12)
    distance = (new - old).norm().item()
    assert found.gradient_distances.tolist() == pytest.approx([distance] * 3, rel=1e-9, abs=1e-14)
    assert found.grad_norm == pytest.approx(old.norm().item(), rel=1e-12)
    assert not found.notes


def mapped(content: Tensor, folder: Path) -> Tensor:
    """The same numbers in a file that is mapped read-only: writing to them would end the process."""
    np.save(folder / "content.npy", content.numpy())
    torch.set_warn_always(True)  # else torch says so once a process, and the second test that asks for it fails
    try:
        with pytest.warns(UserWarning, match="not writable"):
            return torch.from_numpy(np.load(folder / "content.npy", mmap_mode="r"))
    finally:
        torch.set_warn_always(False)
