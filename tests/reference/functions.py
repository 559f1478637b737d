"""The demand on every walk over a model with state: it is a function of the weights, and leaves no trace."""

import copy
from typing import Any

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
