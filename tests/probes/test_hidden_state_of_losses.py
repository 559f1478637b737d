"""State that only the loss function reaches: found, or noted; and what the caller records there is left alone."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.probes import covariate_shift, landscape
from tests.reference.functions import D, assert_function_of_the_weights, loss_fn, vectors


class Criterion:
    """Weighs the loss by how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        self.calls += 1
        return loss_fn(model, batch) * self.calls

    def bound(self, model: nn.Module, batch: Any) -> Tensor:
        return self(model, batch)


def counted_by_a_module() -> Callable[..., Tensor]:
    norm = nn.BatchNorm1d(3).double()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        out = norm(model(batch[0]))
        return F.cross_entropy(out + norm.running_mean, batch[1])

    return loss


def centered(place: str) -> Callable[..., Tensor]:
    """A moving average of the outputs, kept in a variable, a dict or a list."""
    center, kept, listed = torch.ones(3, **D), {"center": torch.ones(3, **D), "calls": 0}, [torch.ones(3, **D)]

    def variable(model: nn.Module, batch: Any) -> Tensor:
        nonlocal center
        out = model(batch[0])
        center = 0.9 * center + out.mean(0).detach()
        return F.cross_entropy(out - center, batch[1])

    def entry(model: nn.Module, batch: Any) -> Tensor:
        out = model(batch[0])
        kept["center"] = 0.9 * kept["center"] + out.mean(0).detach()
        kept["calls"] += 1  # a record: it stays
        return F.cross_entropy(out - kept["center"], batch[1])

    def listed_entry(model: nn.Module, batch: Any) -> Tensor:
        out = model(batch[0])
        listed[0] = 0.9 * listed[0] + out.mean(0).detach()
        return F.cross_entropy(out - listed[0], batch[1])

    entry.kept = kept
    return {"variable": variable, "entry": entry, "list": listed_entry}[place]


TEACHER = nn.Linear(4, 3, **D).requires_grad_(False)


def with_a_global(model: nn.Module, batch: Any) -> Tensor:
    TEACHER.weight.mul_(0.9)
    return loss_fn(model, batch) + F.mse_loss(model(batch[0]), TEACHER(batch[0]))


def behind_a_default(model: nn.Module, batch: Any, scale: Tensor = torch.ones((), **D)) -> Tensor:  # noqa: B008
    return loss_fn(model, batch) * scale.mul_(2)


def with_an_attribute() -> Callable[..., Tensor]:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, batch) * loss.scale.mul_(2)

    loss.scale = torch.ones((), **D)
    return loss


def decorated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(function)
    def call(*arguments: Any) -> Tensor:
        return function(*arguments)

    return call


def helper_of_a_helper(model: nn.Module, batch: Any) -> Tensor:
    return next(iter([with_a_global(m, batch) for m in [model]]))


LOSSES = {
    "callable object": Criterion,
    "bound method": lambda: Criterion().bound,
    "partial": lambda: partial(lambda c, m, b: c(m, b), Criterion()),
    "partial with keywords": lambda: partial(lambda m, b, c: c(m, b), c=Criterion()),
    "module in a closure": counted_by_a_module,
    "variable": lambda: centered("variable"),
    "entry": lambda: centered("entry"),
    "list": lambda: centered("list"),
    "global": lambda: with_a_global,
    "default": lambda: behind_a_default,
    "attribute": with_an_attribute,
    "decorated": lambda: decorated(Criterion()),
    "helper": lambda: helper_of_a_helper,
    "object in a closure": lambda: (lambda c: lambda m, b: c(m, b))(Criterion()),
    "stream": lambda: partial(lambda g, m, b: loss_fn(m, b) * torch.rand((), generator=g), torch.Generator()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_state_that_only_the_loss_reaches_is_found(name: str) -> None:
    loss = LOSSES[name]()
    torch.manual_seed(0)
    model = nn.Linear(4, 3, **D)
    first = assert_function_of_the_weights(model, loss, twin=False)
    assert landscape(model, loss, vectors(), [0.3]).loss == first.loss  # no trace: the next call finds the same state
    if name == "entry":
        assert loss.kept["calls"] == 9  # base point and five steps, base point twice and one step


def test_records_of_the_caller_are_kept() -> None:
    calls, losses, outputs, counts = [], [0.0], [torch.ones(1, **D)], {"n": 0}

    def loss(model: nn.Module, batch: Any) -> Tensor:
        value = loss_fn(model, batch)
        calls.append(1), losses.append(value.item()), outputs.append(value.detach())
        counts["n"] += 1
        return value

    model = nn.Linear(4, 3, **D)
    model.register_forward_hook(lambda *_: calls.append(2))
    landscape(model, loss, vectors(), [0.1])
    assert calls == [2, 1] * 3
    assert (len(losses), len(outputs), counts["n"]) == (4, 4, 3)


def test_state_that_cannot_be_found_is_noted() -> None:
    hidden = iter(range(1, 100))

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, batch) * next(hidden)

    model = nn.Linear(4, 3, **D)
    assert "evaluated once more gives another loss" in landscape(model, loss, vectors(), [0.1]).notes[-1]
    shifts = covariate_shift(nn.Sequential(model, nn.Linear(3, 3, **D)), loss, vectors(), learning_rate=0.1)
    assert all("evaluated once more" in shift.notes[-1] for shift in shifts.values())
    assert not landscape(model, loss_fn, vectors(), [0.1]).notes


REGISTRY = [nn.BatchNorm1d(3).double()]


def test_modules_can_be_named_with_also() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        discriminator = globals()["REGI" + "STRY"][0]  # no name in the code leads there
        return F.cross_entropy(discriminator(model(batch[0])) + discriminator.running_mean, batch[1])

    torch.manual_seed(0)
    model = nn.Linear(4, 3, **D)
    assert any("also=" in note for note in landscape(model, loss, vectors(), [0.1]).notes)
    mean = REGISTRY[0].running_mean.clone()
    assert_function_of_the_weights(model, loss, also=REGISTRY, twin=False)
    assert torch.equal(REGISTRY[0].running_mean, mean)
    with pytest.raises(TypeError, match="also must be a list"):
        landscape(model, loss, vectors(), [0.1], also=["d"])


def test_a_loss_that_trains_a_discriminator() -> None:
    torch.manual_seed(0)
    model, discriminator = nn.Linear(4, 3, **D), nn.Linear(3, 1, **D)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.1)

    def loss(m: nn.Module, b: Any) -> Tensor:
        out = m(b[0])
        optimizer.zero_grad()
        discriminator(out.detach()).square().mean().backward()
        optimizer.step()
        return discriminator(out).square().mean()

    weight = discriminator.weight.detach().clone()
    for _ in range(2):  # Adam's state too is as before: none at first
        assert_function_of_the_weights(model, loss, twin=False)
        assert torch.equal(discriminator.weight, weight)
        assert discriminator.weight.grad is None
        assert not optimizer.state


def test_a_variable_that_contains_itself_is_followed_to_an_end() -> None:
    listed: list[Any] = [1]
    listed.append(listed)
    named: dict[str, Any] = {"calls": 0}
    named["self"] = named

    def loss(model: nn.Module, batch: Any) -> Tensor:
        listed[0] += 1
        named["calls"] += 1
        return loss_fn(model, batch)

    model = nn.Linear(4, 3, **D)
    found = landscape(model, loss, vectors(), [0.1])
    assert found.loss == loss_fn(model, vectors()).item()
    assert (listed[0], named["calls"]) == (4, 3)  # records: they stay
    assert listed[1] is listed
    assert named["self"] is named
