"""When a forward pass first uses parameters and modules, in uses counted by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from normlab.probes.forward_order import ForwardOrder, own_parameters


class Weight(nn.Module):
    """Holds one number; `call` says what its forward pass does."""

    def __init__(self, call: Callable[["Weight", Any], Any] = lambda m, x: x * m.weight) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.call = call

    def forward(self, x: Any) -> Any:
        return self.call(self, x)


class Both(Weight):
    """Calls its parts in an order of its own."""

    def __init__(self, call: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__(call)
        self.parts = nn.ModuleList(parts)


def watched(model: nn.Module, run: Callable[[Any], Any] = lambda model: model(torch.ones(()))) -> ForwardOrder:
    with ForwardOrder(model) as order:
        run(model)
    return order


def test_calls_of_modules_and_uses_of_parameters_are_counted_by_one_clock() -> None:
    a, b, unused = Weight(), Weight(), Weight()
    model = Both(lambda m, x: a(b(x) * m.weight), a, b, unused)
    order = watched(model)  # call of the model 1, of b 2, its use 3, the model's own 4, call of a 5, its use 6
    assert [order.of_parameter(m.weight) for m in (model, a, b, unused)] == [4, 6, 3, math.inf]
    assert [order.of_module(m) for m in (model, a, b, unused)] == [4, 6, 3, math.inf]


def test_of_several_calls_the_first_counts() -> None:
    a, b = Weight(), Weight()
    model = Both(lambda m, x: a(b(a(x))), a, b)  # calls: model 1, a 2, its use 3, b 4, its use 5, a 6, its use 7
    order = watched(model, lambda m: (m(torch.ones(())), m(torch.ones(()))))
    assert [order.of_parameter(m.weight) for m in (a, b)] == [3, 5]
    assert [order.of_module(m) for m in (a, b)] == [3, 5]
    assert order.of_module(model) == 1  # it is called, and does not use its own


def test_a_parameter_of_two_modules_has_a_time_for_each_of_them() -> None:
    a, b = Weight(), Weight()
    b.weight = a.weight
    model = Both(lambda m, x: b(a(x)), a, b)  # calls: model 1, a 2, its use 3, b 4, its use 5
    order = watched(model)
    assert (order.of_parameter(a.weight), order.of_module(a), order.of_module(b)) == (3, 3, 5)


def test_a_use_of_no_module_counts_only_where_there_is_no_other() -> None:
    a, b = Weight(), Weight()
    model = Both(lambda m, x: a(x), a, b)

    def penalized(m: nn.Module) -> Any:
        return b.weight.square() + a.weight.square() + m(torch.ones(())) + b.weight.square()

    order = watched(model, penalized)  # b's square 1, a's 2, calls of the model 3 and a 4, a's use 5, b's square 6
    assert [order.of_parameter(m.weight) for m in (a, b)] == [5, 1]
    assert [order.of_module(m) for m in (a, b)] == [5, 1]


class Hidden(torch.autograd.Function):
    """A product by other means."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        return x * weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad


GIVEN: dict[str, Callable[[Tensor], Any]] = {
    "itself": lambda w: w,
    "a list": lambda w: [1, w],
    "a dict": lambda w: {"a": 1, "b": w},
    "a dict in a tuple": lambda w: ({"b": w}, 1),
}
RESULTS: dict[str, Callable[[Tensor], Any]] = {
    **GIVEN,
    "four levels": lambda w: [[{"a": (1, w)}], 1],
    "behind what has no gradient": lambda w: [w.detach(), [w.detach(), w]],
}


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("given", GIVEN)
def test_parameters_inside_of_arguments_and_results_are_seen(given: str, result: str) -> None:
    model = Weight()
    for place in ("by place", "by name"):
        with ForwardOrder(model) as order:
            arguments = (GIVEN[given](model.weight),)
            placed, named = (arguments, None) if place == "by place" else ((), {"found": arguments[0]})
            order.__torch_function__(lambda found: RESULTS[result](model.weight), (), placed, named)
            order.__torch_function__(lambda found: model.weight, (), ([torch.ones(1)],), None)  # no parameter in it
        assert order.of_parameter(model.weight) == 1


def test_a_result_that_contains_itself_is_looked_through_to_an_end() -> None:
    ring: list[Any] = [torch.ones(1)]
    ring.append({"ring": ring})
    model = Weight()
    with ForwardOrder(model) as order:
        assert order.__torch_function__(lambda found: ring, (), (model.weight,)) is ring
    assert order.of_parameter(model.weight) == math.inf


def test_reading_a_shape_or_a_value_is_no_use() -> None:
    a, b = Weight(), Weight()
    order = watched(Both(lambda m, x: a(x) if b.weight.shape == () and b.weight.detach() > 0 else x, a, b))
    assert order.of_parameter(b.weight) == math.inf
    assert order.of_parameter(a.weight) == 3


def test_where_torch_shows_no_use_the_call_is_the_time() -> None:
    a = Weight(lambda m, x: Hidden.apply(x, m.weight))
    b = Weight()
    model = Both(lambda m, x: a(b(x)), a, b)  # calls: model 1, b 2, its use 3, a 4
    with ForwardOrder(model) as order:
        model(torch.ones(()))
    assert (order.of_module(a), order.of_parameter(a.weight), order.of_module(b)) == (4, 4, 3)


def test_what_a_hook_before_the_forward_pass_uses_is_used_in_the_call() -> None:
    a = Weight(lambda m, x: x)
    a.register_forward_pre_hook(lambda m, args: (args[0] * m.weight,))
    model = Both(lambda m, x: a(x), a)
    # a use outside 1, call of a 2, its use by the hook 3; then all once more
    order = watched(model, lambda m: ((a.weight * 2).sum(), a(torch.ones(())), m(torch.ones(()))))
    assert (order.of_parameter(a.weight), order.of_module(a)) == (3, 3)


def test_a_module_that_fails_is_left_and_no_hooks_remain() -> None:
    def failing(m: Weight, x: Tensor) -> Tensor:
        raise ValueError("no")

    a, b = Weight(failing), Weight()
    model = Both(lambda m, x: b(x), a, b)

    def run(m: nn.Module) -> None:
        with pytest.raises(ValueError, match="no"):
            a(torch.ones(()))
        (a.weight * 2).sum()  # outside of all modules
        m(torch.ones(()))

    order = watched(model, run)  # call of a 1, its use outside 2, calls of the model 3 and b 4, its use 5
    assert (order.of_parameter(a.weight), order.of_parameter(b.weight)) == (1, 5)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_own_parameters_are_trainable_once_and_those_behind_a_parametrization() -> None:
    linear = nn.Linear(2, 3)
    assert own_parameters(linear) == [linear.weight, linear.bias]
    assert own_parameters(nn.Sequential(linear)) == []
    linear.bias.requires_grad_(False)
    assert own_parameters(linear) == [linear.weight]
    linear.again = linear.weight
    assert own_parameters(linear) == [linear.weight]
    normed = parametrizations.weight_norm(nn.Linear(2, 3))
    names = {id(p): name for name, p in normed.named_parameters()}
    assert [names[id(p)] for p in own_parameters(normed)] == [
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    ]
