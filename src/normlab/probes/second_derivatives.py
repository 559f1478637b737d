"""Whether a Python function of a graph (`torch.autograd.Function`) has the second derivative that autograd takes of it.

    y = f(x),    B(x) = backward(g, what f has saved of x)

A backward pass that multiplies g with numbers which its forward pass has computed and kept without a graph gives the
right gradient, and dB/dx without what those numbers depend on: a part of the Hessian is 0, without a word. So one call
of each such function is run again, alone and in float64, and autograd's derivative of B is set against a quotient of
differences:

    ⟨r, B(x + δu) − B(x)⟩ / δ  ≈  ⟨∇_x⟨r, B(x)⟩, u⟩        for random g, r, u

Alone, because there both are nearly exact; over the whole of a model with kinks (ReLU), differences are off by a factor
of their own. What does not let itself be run so (no float64, not deterministic, a kink next to x) is not judged. Where
backward is not the derivative of forward at all (straight-through estimators, reversed gradients), B is what counts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from normlab.probes.interrupts import closed_undisturbed

_DELTA = 1e-7  # of the input's size: the quotient is off by about 1e-7 by its curvature and 1e-9 by float64's rounding
_TINY = 1e-9  # at this step too: what computes in float32 inside has a quotient of 0, or of one rounding, 60 times it
_SMOOTH, _EQUAL = 1e-3, 1e-2  # what of a term left out is smaller than this does not show


def refuse_constants(calls: dict[Any, tuple[Any, ...]]) -> None:
    """Look at functions, each with the arguments of one of its calls, as `recorded_calls` keeps them.

    Raises:
        RuntimeError: a function's derivative leaves out what depends on its input.
    """
    for function, args in calls.items():
        if takes_for_constant(function, args):
            raise RuntimeError(
                f"the backward pass of {function.__name__} takes for constant what depends on its input, so it has a "
                "gradient and a wrong second derivative; let it keep its input (ctx.save_for_backward) and compute "
                "with that"
            )


@contextmanager
def recorded_calls(functions: Sequence[Any], calls: dict[Any, tuple[Any, ...]]) -> Iterator[None]:
    """A block that fills `calls` with the arguments of one call of each function."""

    def recording(function: Any) -> Any:
        forward = function.forward
        with_context = function.setup_context is torch.autograd.Function.setup_context  # else: forward(*args) alone

        def record(*args: Any, **kwargs: Any) -> Any:
            given = args[1:] if with_context else args
            if function not in calls and any(isinstance(arg, Tensor) and arg.requires_grad for arg in given):
                # copies: a function may write into its arguments
                calls[function] = tuple(_copied(arg) if isinstance(arg, Tensor) else arg for arg in given)
            return forward(*args, **kwargs)

        return staticmethod(record)

    with closed_undisturbed() as stack:
        for function in functions:  # by their forward passes: `apply` is often kept under another name
            stack.callback(_put_back, function, function.__dict__.get("forward"))
            function.forward = recording(function)
        yield


def _put_back(function: Any, forward: Any) -> None:
    if forward is not None:
        function.forward = forward
    elif "forward" in function.__dict__:
        del function.forward


def takes_for_constant(function: Any, args: Sequence[Any]) -> bool:
    """Whether autograd's derivative of the function's backward pass is certainly not that of its values."""
    state = torch.get_rng_state()
    try:
        with torch.enable_grad():
            return _differs(function, args)
    except Exception:  # whatever it is: it does not let itself be run alone
        return False
    finally:
        torch.set_rng_state(state)


def _differs(function: Any, args: Sequence[Any]) -> bool:
    moved = [index for index, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if not all(args[index].is_floating_point() for index in moved):
        return False
    draws = torch.Generator(device="cpu").manual_seed(0)

    def random_like(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=draws, dtype=torch.float64, device="cpu").to(tensor.device)

    start = [args[index].detach().double() for index in moved]
    ways = [random_like(x) * (x.square().mean().sqrt() if x.any() else 1.0) for x in start]
    seed = torch.get_rng_state()  # the same draws (a mask of its own) at every x
    given: list[Tensor] = []
    weights: list[Tensor] = []

    def backward_at(step: float) -> tuple[Tensor, list[Tensor]]:
        torch.set_rng_state(seed)
        inputs = [(x + step * u).requires_grad_() for x, u in zip(start, ways, strict=True)]
        all_args = [_doubled(a) for a in args]
        for index, x in zip(moved, inputs, strict=True):
            all_args[index] = x.view_as(x)  # may be written to: no leaf
        found = function.apply(*all_args)
        outputs = [y for y in (found if isinstance(found, tuple) else (found,)) if isinstance(y, Tensor)]
        outputs = [y for y in outputs if y.requires_grad]
        given.extend(map(random_like, outputs[len(given) :]))
        factors = [g.clone().requires_grad_() for g in given]  # without a graph, no derivative is asked for
        gradients = torch.autograd.grad(outputs, inputs, factors, create_graph=True, allow_unused=True)
        kept = [b for b in gradients if b is not None]
        weights.extend(map(random_like, kept[len(weights) :]))
        if any(t.dtype != torch.float64 for t in (*outputs, *kept)):
            raise TypeError("computed in another precision")
        return torch.cat([(r * b).flatten() for r, b in zip(weights, kept, strict=True)]), inputs

    terms, inputs = backward_at(0.0)
    slopes = torch.autograd.grad(terms.sum(), inputs, allow_unused=True)
    derived = sum((s * u).sum().item() for s, u in zip(slopes, ways, strict=True) if s is not None)
    base, again, right, left, near = (
        value.sum().item() for value in (terms, *(backward_at(step)[0] for step in (0.0, _DELTA, -_DELTA, _TINY)))
    )
    after, before = (right - base) / _DELTA, (base - left) / _DELTA
    size = max(abs(after), abs(before), abs(derived))
    # rounding of a float64 sum, as the quotient enlarges it; and what comes out otherwise at the same x
    rounding = 1e-14 * terms.abs().sum().item() + 10 * abs(again - base)
    if abs((near - base) / _TINY - after) > 0.5 * size + rounding / _TINY:
        return False
    floor = rounding / _DELTA
    return abs(after - before) <= _SMOOTH * size + floor and abs(after - derived) > _EQUAL * size + floor


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _doubled(value: Any) -> Any:
    tensor = isinstance(value, Tensor) and value.is_floating_point()
    return value.detach().double().clone() if tensor else value
