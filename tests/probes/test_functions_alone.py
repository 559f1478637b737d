"""One call of a Python function of a graph, run alone: when its backward pass is said to take for constant what depends
on its input, and which call it is that is run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from normlab.probes.second_derivatives import recorded_calls, takes_for_constant
from tests.probes.test_second_derivatives import Single as Within

Slope = Callable[[Tensor], Tensor]


def _function(slope: Slope, share: float = 1.0, factor: float = 1.0) -> Any:
    """A function with B(x) = g·factor·slope(x), of whose slope a share is kept without a graph."""

    class Made(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            ctx.slope = slope(x)
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors
            now = slope(x) if share < 1 else 0.0
            return grad * factor * (share * ctx.slope + (1 - share) * now)

    return Made


def _at(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("share", "wrong"), [(0.0, False), (0.0098, False), (0.0102, True), (0.5, True), (1.0, True)])
def test_a_hundredth_of_the_slope_may_be_missing(share: float, wrong: bool) -> None:
    assert takes_for_constant(_function(lambda x: 1 * x, share), [_at(1.5)]) is wrong


@pytest.mark.parametrize(("jump", "judged"), [(0.0, True), (0.00097, True), (0.00103, False), (0.5, False)])
def test_next_to_a_kink_of_more_than_a_thousandth_of_the_slope_nothing_is_judged(jump: float, judged: bool) -> None:
    kinked = _function(lambda x: x + jump / 2 * (x - 1.5).abs())  # slopes 1 ± jump / 2 on both sides of 1.5
    assert takes_for_constant(kinked, [_at(1.5)]) is judged


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_no_unit_of_input_or_output_changes_what_is_found(scale: float, factor: float) -> None:
    x = _at(0.3 * scale, -1.2 * scale, 0.0)
    for share in (0.0, 1.0):
        function = _function(lambda x: (x / scale).exp(), share, factor)
        assert takes_for_constant(function, [x]) is (share == 1.0)


def test_at_an_input_of_zeros_a_step_is_of_size_one() -> None:
    assert takes_for_constant(_function(torch.exp), [_at(0.0, 0.0)])
    assert not takes_for_constant(_function(torch.exp, share=0.0), [_at(0.0, 0.0)])


def test_where_the_gradient_is_zero_the_others_are_looked_at() -> None:
    assert takes_for_constant(_function(lambda x: x.clamp(min=0)), [_at(-1.0, 2.0, -3.0)])


@pytest.mark.parametrize(("drift", "wrong"), [(0.0, True), (0.05, True), (0.115, True), (0.13, False), (1.0, False)])
def test_ten_times_what_comes_out_otherwise_at_the_same_input_may_be_missing(drift: float, wrong: bool) -> None:
    """With B = x + n·e of call n: the quotients, of calls 1, 3 and 4, are 1 + 2·drift and 1 − 3·drift, derived is 0,
    and the second call at x was e, which is drift·δu, away from the first."""
    calls = []

    def slope(x: Tensor) -> Tensor:
        calls.append(1)
        return x + len(calls) * drift * 1e-7 * u

    u = torch.randn(1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)  # the way: x is 1
    assert takes_for_constant(_function(slope), [_at(1.0)]) is wrong


class Several(torch.autograd.Function):
    """A product with a table, places and a text beside it; nothing is said of the last input."""

    @staticmethod
    def forward(ctx: Any, scale: float, x: Tensor, places: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor, str]:
        ctx.slope, order = scale * x.exp(), x.argsort()
        ctx.mark_non_differentiable(order)
        return scale * x.exp(), order, "text"

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *others: Any) -> tuple[None, Tensor, None, None]:
        return None, grad * ctx.slope, None, None


class Scalar(torch.autograd.Function):
    """A sum of squares, its slope kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.slope = 2 * x
        return x.square().sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.slope


class Pair(torch.autograd.Function):
    """Two outputs, of which the second alone has a constant slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.slope = x.cos()
        return 3 * x, x.sin()

    @staticmethod
    def backward(ctx: Any, one: Tensor, other: Tensor) -> Tensor:
        return 3 * one + other * ctx.slope


def test_outputs_and_inputs_of_every_kind() -> None:
    table = torch.arange(3)
    assert takes_for_constant(Several, [2.0, _at(0.5, -1.0), table, _at(1.0, 2.0)])
    assert takes_for_constant(Scalar, [_at(0.5, -1.0)])
    assert takes_for_constant(Pair, [_at(0.5, -1.0)])


class Narrow(torch.autograd.Function):
    """Right, and in single precision whatever it is given: at 1.9 in float64 the steps would be of whole digits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.float().square()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * grad * x.float()


class Refusing(torch.autograd.Function):
    """A slope that is kept, and another error where it is run alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if x.dtype == torch.float64:
            raise ValueError("no double precision here")
        ctx.slope = x.exp()
        return x.exp()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.slope


@pytest.mark.parametrize("elements", [1, 2, 4])
def test_a_function_that_computes_in_single_precision_inside_is_not_judged_by_its_roundings(elements: int) -> None:
    values = torch.linspace(1, 5, 100 * elements, dtype=torch.float64).split(elements)
    assert not any(takes_for_constant(Within, [x.clone().requires_grad_()]) for x in values)


def test_what_does_not_let_itself_be_run_in_double_precision_is_not_judged() -> None:
    assert not takes_for_constant(Refusing, [torch.ones(2, requires_grad=True)])
    assert not takes_for_constant(Narrow, [torch.tensor([1.9], requires_grad=True)])


def _drawn() -> Slope:
    return lambda x: x * (torch.rand_like(x) > 0.5) + x


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_random_numbers_are_the_same_at_each_step_and_the_callers_stay(share: float) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with torch.no_grad():  # it takes gradients whatever the caller does
        assert takes_for_constant(_function(_drawn()), [_at(*(1.0 + i for i in range(20)))])
    assert torch.equal(torch.get_rng_state(), before)


class NewStyle(torch.autograd.Function):
    """forward without a context, which comes later."""

    @staticmethod
    def forward(scale: float, x: Tensor, y: Tensor) -> Tensor:
        x.add_(1)  # its own business
        return scale * x * y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        return None, grad, grad


class OldStyle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scale: float, x: Tensor, y: Tensor) -> Tensor:
        x.add_(1)
        return scale * x * y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        return None, grad, grad


class Derived(OldStyle):
    """With the forward pass of its base."""


@pytest.mark.parametrize("function", [NewStyle, OldStyle, Derived])
def test_the_first_call_with_a_gradient_is_kept_as_it_was_given(function: Any) -> None:
    calls: dict[Any, tuple[Any, ...]] = {}
    own = dict(function.__dict__)
    with recorded_calls([function], calls):
        function.apply(2.0, torch.ones(2), torch.ones(2))
        assert not calls
        function.apply(3.0, torch.full((2,), 5.0), _at(7.0, 8.0))
        function.apply(4.0, torch.ones(2), _at(1.0, 1.0))
    assert dict(function.__dict__) == own
    scale, x, y = calls[function]
    assert (scale, x.tolist(), x.requires_grad) == (3.0, [5.0, 5.0], False)
    assert (y.tolist(), y.requires_grad, y.is_leaf) == ([7.0, 8.0], True, True)
