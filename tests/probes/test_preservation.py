"""Everything that a block of code can do to a model is undone, however the block ends."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from normlab.probes.memory import RandomState
from normlab.probes.preservation import preserved
from tests.reference.traces import no_trace


class Busy(nn.Module):
    """A module with every kind of state."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3, momentum=None)
        self.register_buffer("lazy", None)
        self.register_buffer("wide", torch.zeros(1).expand(4))
        self.register_buffer("hidden", torch.ones(2), persistent=False)
        self.loose = torch.zeros(2)
        self.calls = 0
        self.history: list[int] = []
        self.cache: dict[str, Any] = {}
        self.names = {"a"}
        self.own_stream = torch.Generator().manual_seed(1)
        self.numpy_stream = np.random.default_rng(1)
        self.python_stream = random.Random(1)


def disturb(model: Busy, batch: torch.Tensor) -> None:
    """Do all that a forward pass and a careless loss function may do."""
    with torch.no_grad():
        model.linear.weight.data.add_(1.0)
        model.linear.bias.data.zero_()
    model.norm(torch.randn(5, 3))
    model.lazy = torch.ones(3)
    model.hidden = model.hidden + 1
    model.loose.add_(1.0)
    model.calls += 1
    model.history.append(1)
    model.cache["x"] = torch.ones(1)
    model.names.add("b")
    model.late = 1
    model.register_buffer("later", torch.ones(1))
    del model.hidden
    model.linear.register_forward_hook(lambda *_: None)
    model.linear.weight.requires_grad_(False)
    model.linear.bias.grad = torch.ones(3)
    model.norm.eval()
    batch.mul_(2.0)
    torch.rand(3, generator=model.own_stream)
    model.numpy_stream.random()
    model.python_stream.random()
    torch.rand(1), np.random.rand(), random.random()


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_everything_is_put_back(error: type[BaseException] | None) -> None:
    model, batch = Busy(), torch.ones(2, 3)
    model.linear.weight.grad = torch.full((3, 3), 2.0)
    draws = [torch.rand(1, generator=torch.Generator().manual_seed(1)), np.random.default_rng(1).random()]

    def run() -> None:
        with preserved(model, {"x": [batch]}):
            disturb(model, batch)
            if error:
                raise error

    with no_trace(model, (batch,)):
        if error:
            with pytest.raises(error):
                run()
        else:
            run()
    assert model.loose.tolist() == [0.0, 0.0]
    assert (model.history, model.cache, model.names, model.calls) == ([], {}, {"a"}, 0)
    assert not hasattr(model, "late")
    assert torch.equal(torch.rand(1, generator=model.own_stream), draws[0])
    assert model.numpy_stream.random() == draws[1]
    assert model.python_stream.random() == random.Random(1).random()


def test_a_second_interrupt_during_the_restoration_does_not_leave_it_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = Busy(), torch.ones(2, 3)
    original, calls = RandomState.restore, []

    def interrupted(self: RandomState) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        original(self)

    with no_trace(model, (batch,)):
        with pytest.raises(KeyboardInterrupt), preserved(model, batch):  # noqa: PT012
            disturb(model, batch)
            monkeypatch.setattr(RandomState, "restore", interrupted)
        monkeypatch.setattr(RandomState, "restore", original)


def test_signs_of_zero_and_not_a_number_survive() -> None:
    model = nn.Linear(2, 1)
    model.weight.data.copy_(torch.tensor([[-0.0, float("nan")]]))
    with no_trace(model), preserved(model):
        model.weight.data.zero_()
    assert torch.signbit(model.weight[0, 0])
    assert torch.isnan(model.weight[0, 1])


def test_a_graph_that_the_caller_holds_stays_valid() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
    x = torch.randn(4, 3)
    expected = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    loss = model(x).sum()
    with preserved(model, x):
        model.train()
        model(x)
        for p in model.parameters():
            p.data.add_(1.0)
    found = torch.autograd.grad(loss, list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_generator_continues_the_global_stream_without_consuming_it() -> None:
    torch.manual_seed(3)
    state = RandomState()
    assert torch.equal(torch.rand(4, generator=state.generator()), torch.rand(4))
