"""Layers whose backward pass runs another one inside, which adds to `.grad` (reversible layers, Reformer's): what it
adds is a part of the gradient, and no trace."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointFunction, checkpoint

from normlab.probes import covariate_shift, directional_curvature, landscape
from tests.reference import twins
from tests.reference.functions import D, loss_fn, vectors
from tests.reference.traces import no_trace


class Recompute(torch.autograd.Function):
    """Keeps nothing of the forward pass: backward computes it again with a graph, and goes backward through that."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer(x.detach()).detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            y = ctx.layer(x)
        torch.autograd.backward(y, grad)
        assert x.grad is not None
        return x.grad, None


class Thrifty(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 4, **D), nn.Linear(4, 4, **D), nn.Linear(4, 3, **D)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(Recompute.apply(self.first(x), self.inner)))


@pytest.mark.parametrize("with_gradients", [False, True])
def test_what_an_inner_backward_pass_adds_is_part_of_the_gradient(with_gradients: bool) -> None:
    torch.manual_seed(0)
    model, batch = Thrifty(), vectors()
    if with_gradients:
        loss_fn(model, batch).backward()
    with no_trace(model, batch):
        found = landscape(model, loss_fn, batch, [0.1, 0.5])
    truth = twins.walk(model, loss_fn, batch, [0.1, 0.5], None, "train")
    assert found.grad_norm == pytest.approx(truth["grad_norm"], rel=1e-12)
    assert found.losses.tolist() == pytest.approx(truth["losses"], rel=1e-12)
    assert found.gradient_distances.tolist() == pytest.approx(truth["gradient_distances"], rel=1e-9)
    with no_trace(model, batch):
        shift = covariate_shift(model, loss_fn, batch, learning_rate=0.1)
    assert shift["inner"].l2 > 0


def test_curvature_through_it_is_refused_in_one_line() -> None:
    torch.manual_seed(0)
    model, batch = Thrifty(), vectors()
    with no_trace(model, batch), pytest.raises(RuntimeError, match=r"of 2 parameters .* no second derivative"):
        directional_curvature(model, loss_fn, batch)


class Checkpointed(nn.Module):
    """A body whose forward pass is computed again in the backward pass; `frozen` before it, as in fine-tuning."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.first = nn.Linear(4, 4, **D).requires_grad_(False)
        self.body = nn.Sequential(nn.Linear(4, 4, **D), nn.BatchNorm1d(4, **D), nn.Tanh(), nn.Dropout(0.3))
        self.last = nn.Linear(4, 3, **D)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        if self.reentrant is None:
            return self.last(self.body(hidden))
        hidden = hidden.requires_grad_()  # what a reentrant checkpoint needs, and transformers sees to
        return self.last(checkpoint(self.body, hidden, use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_checkpointed_model_is_measured_as_a_plain_one(reentrant: bool, frozen: bool) -> None:
    found = []
    for kind in (None, reentrant):
        torch.manual_seed(0)
        model, batch = Checkpointed(kind), vectors()
        model.first.requires_grad_(not frozen)
        with no_trace(model, batch):
            walk = landscape(model, loss_fn, batch, [0.1, 0.5])
            curvature = directional_curvature(model, loss_fn, batch)
        found.append([walk.grad_norm, *walk.losses.tolist(), *walk.gradient_distances.tolist(), curvature.rayleigh])
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert "apply" not in CheckpointFunction.__dict__
