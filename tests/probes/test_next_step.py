"""The weights after the next step, beside steps that torch's optimizers really take."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.probes.entry import objective_at
from normlab.probes.next_step import optimizer_step, plain_step, stands_still
from normlab.probes.objective import Objective
from tests.reference.traces import no_trace

D = {"dtype": torch.float64}


@contextmanager
def pair(values: tuple[float, float] = (1.0, -2.0)) -> Iterator[tuple[Objective, list[nn.Parameter]]]:
    """Two weights of one number each and L = Σ w²; the gradient is 2w."""
    model = nn.ParameterList([nn.Parameter(torch.tensor([value], **D)) for value in values])
    with objective_at(model, lambda m, _: sum(p.square().sum() for p in m), None) as objective:
        yield objective, list(model)


def numbers(tensors: list[Tensor]) -> list[float]:
    return [tensor.item() for tensor in tensors]


def test_a_plain_step_goes_against_the_gradient() -> None:
    with pair() as (objective, _):
        gradient = [torch.tensor([2.0], **D), torch.tensor([-4.0], **D)]
        for rate in (0.25, Fraction(1, 4), torch.tensor(0.25).item()):
            assert numbers(plain_step(objective, gradient, rate)) == [0.5, -1.0]
        assert numbers(plain_step(objective, gradient, -1)) == [3.0, -6.0]
        assert numbers(plain_step(objective, gradient, 0)) == [1.0, -2.0]
        assert numbers(objective.weights) == [1.0, -2.0]


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf, True, False, "0.1", 1j, None, [0.1], 10**400])
def test_a_rate_that_is_no_finite_number_is_refused(rate: Any) -> None:
    with pair() as (objective, _), pytest.raises(ValueError, match="finite real number, got"):
        plain_step(objective, [torch.ones(1, **D)] * 2, rate)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "adamw, decayed": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True),
}


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("unused", [False, True], ids=["both used", "the second unused"])
def test_it_is_the_step_that_the_optimizer_takes_next(name: str, steps: int, unused: bool) -> None:
    with pair() as (objective, parameters):
        optimizer = OPTIMIZERS[name](parameters)
        for _ in range(steps):
            parameters[0].grad, parameters[1].grad = torch.tensor([0.5], **D), torch.tensor([-1.5], **D)
            optimizer.step()
        objective.state.weights.values[:] = [p.detach().clone() for p in parameters]
        raw = [torch.tensor([2.0], **D), None if unused else torch.tensor([3.0], **D)]
        with no_trace(objective.model, (), optimizer):
            found = numbers(optimizer_step(objective, raw, optimizer))
        parameters[0].grad, parameters[1].grad = raw
        optimizer.step()
        assert found == numbers([p.detach() for p in parameters])


def test_a_parameter_that_the_optimizer_does_not_know_keeps_its_value() -> None:
    with pair() as (objective, parameters):
        optimizer = torch.optim.SGD(parameters[:1], lr=0.5)
        raw = [torch.tensor([2.0], **D), torch.tensor([3.0], **D)]
        found = optimizer_step(objective, raw, optimizer)
        assert numbers(found) == [0.0, -2.0]
        assert not any(one.requires_grad for one in found)


def test_an_optimizer_of_another_model_is_refused() -> None:
    with pair() as (objective, weights):
        gradient = objective.raw_gradient(objective.loss_with_graph())
        for held in (2, 1):
            others = [nn.Parameter(weight.detach().clone()) for weight in weights[:held]]
            with pytest.raises(ValueError, match=rf"none of the {held} parameters of this Adam is a trainable"):
                optimizer_step(objective, gradient, torch.optim.Adam(others))
            one_of_both = torch.optim.SGD([*others, weights[1]], lr=0.25)
            assert numbers(optimizer_step(objective, gradient, one_of_both)) == [1.0, -1.0]


class Momentum(torch.optim.Optimizer):
    """Momentum kept by the parameters' ids, and a rule that is a method of its own."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})
        self.kept: dict[int, Tensor] = {}
        self.rule = self._rule

    def _rule(self, p: Tensor) -> Tensor:
        assert p.grad is not None
        return self.kept.setdefault(id(p), torch.zeros_like(p)).mul_(0.5).add_(p.grad)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * self.rule(p))


def test_what_an_optimizer_keeps_by_id_and_its_own_methods_come_along() -> None:
    model = nn.ParameterList([nn.Parameter(torch.tensor([value], **D)) for value in (1.0, -2.0)])
    optimizer = Momentum(model, 0.25)

    def loss(weights: Any, _: Any) -> Tensor:
        return sum(p.square().sum() for p in weights)

    for _ in range(2):
        optimizer.zero_grad()
        loss(model, None).backward()
        optimizer.step()
    kept = {key: value.clone() for key, value in optimizer.kept.items()}
    with objective_at(model, loss, None) as objective:
        new = optimizer_step(objective, objective.raw_gradient(objective.loss_with_graph()), optimizer)
    assert optimizer.kept == kept
    optimizer.zero_grad()
    loss(model, None).backward()
    optimizer.step()
    assert numbers(new) == numbers(list(model))


def test_hooks_of_the_optimizer_are_not_called() -> None:
    with pair() as (objective, parameters):
        optimizer, called = torch.optim.SGD(parameters, lr=0.5), []
        optimizer.register_step_pre_hook(lambda *_: called.append("before"))
        optimizer.register_step_post_hook(lambda *_: called.append("after"))
        found = optimizer_step(objective, [torch.ones(1, **D)] * 2, optimizer)
        assert (numbers(found), called) == ([0.5, -2.5], [])


class Failing(torch.optim.SGD):
    """Refuses its step with a message."""

    message = ""

    def step(self, closure: Any = None) -> None:
        raise RuntimeError(self.message)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("it needs a closure", "Failing needs a closure for its step, which a probe cannot give; use learning_rate="),
        ("no", r"Failing cannot step on a copy outside of its training loop \(RuntimeError: no\); use learning_rate="),
    ],
)
def test_an_optimizer_that_cannot_step_says_why(message: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "message", message)
    with pair() as (objective, parameters), pytest.raises(ValueError, match=reason):
        optimizer_step(objective, [torch.ones(1, **D)] * 2, Failing(parameters, lr=0.1))


class Wrapped:
    """Around an optimizer, with a step of a training loop's own."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def step(self) -> None:
        raise AssertionError("a step of the training loop")


class OfLightning(Wrapped):
    def toggle_model(self) -> None: ...


class OfAccelerate(Wrapped):
    step_was_skipped = False


@pytest.mark.parametrize("wrap", [OfLightning, OfAccelerate, lambda o: OfAccelerate(OfLightning(o))])
def test_of_a_wrapper_the_optimizer_inside_counts(wrap: Callable[[Any], Any]) -> None:
    with pair() as (objective, parameters):
        optimizer = wrap(torch.optim.SGD(parameters, lr=0.5))
        assert numbers(optimizer_step(objective, [torch.ones(1, **D)] * 2, optimizer)) == [0.5, -2.5]
        with pytest.raises(TypeError, match=r"torch.optim.Optimizer, got Wrapped"):
            optimizer_step(objective, [torch.ones(1, **D)] * 2, Wrapped(optimizer))


@pytest.mark.parametrize(
    ("new", "gradient", "still"),
    [
        ((1.0, -2.0), (0.0, 1.0), True),
        ((1.0, -2.0), (1.0, 0.0), True),
        ((1.0, -2.0), (0.0, 0.0), False),  # there is nothing to go along
        ((1.0, -2.5), (1.0, 1.0), False),
        ((1.5, -2.0), (1.0, 1.0), False),
        ((1.5, -2.5), (0.0, 0.0), False),
    ],
)
def test_an_optimizer_stands_still_if_no_weight_moves_along_a_gradient(
    new: tuple[float, float], gradient: tuple[float, float], still: bool
) -> None:
    with pair() as (objective, _):
        moved, slopes = ([torch.tensor([value], **D) for value in values] for values in (new, gradient))
        assert stands_still(objective, slopes, moved) is still
        assert stands_still(objective, slopes, objective.weights) is any(gradient)
