"""Layers whose backward pass runs another one inside, which adds to `.grad` (reversible layers, Reformer's): what it
adds is a part of the gradient, and no trace."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

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
