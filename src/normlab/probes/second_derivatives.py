"""Whether a Python function of a graph (`torch.autograd.Function`) has the second derivative that autograd takes of it.

    y = f(x),    B(x) = backward(g, what f has saved of x)

A backward pass that multiplies g with numbers which its forward pass has computed and kept without a graph gives the
right gradient, and dB/dx without what those numbers depend on: a part of the Hessian is 0, without a word. So one call
of each such function is run again, alone and in float64, and autograd's derivative of B is set against a quotient of
differences:

    ⟨r, B(x + δu) − B(x)⟩ / δ  ≈  ⟨∇_x⟨r, B(x)⟩, u⟩        for random g, r, u

Alone, because there both are nearly exact; over the whole of a model with kinks (ReLU), differences are off by a factor
of their own. What does not let itself be run so (no float64, not deterministic, a kink next to x) is not judged.

Where backward is not the derivative of forward at all (straight-through estimators, reversed gradients), B is what
counts, and there is no loss whose gradient it gives: autograd's products pass B once more, and are not the derivative
of the gradients that a walk sees. The same call shows it, and it is said:

    ⟨g, f(x + δu) − f(x)⟩ / δ  ≉  ⟨B(x), u⟩

The same holds of a tensor's hook that puts another gradient in place of its own (`Tensor.register_hook`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from normlab.probes.interrupts import closed_undisturbed

_DELTA = 1e-7  # of the input's size: the quotient is off by about 1e-7 by its curvature and 1e-9 by float64's rounding
_TINY = 1e-9  # at this step too: what computes in float32 inside has a quotient of 0, or of one rounding, 60 times it
_SMOOTH, _EQUAL = 1e-3, 1e-2  # what of a term left out is smaller than this does not show


def judged(calls: dict[Any, tuple[Any, ...]]) -> list[str]:
    """Look at functions, each with the arguments of one of its calls, as `recorded_calls` keeps them.

    Returns:
        A remark on each whose backward pass is not the derivative of its forward pass.

    Raises:
        RuntimeError: a function's derivative leaves out what depends on its input.
    """
    remarks = []
    for function, args in calls.items():
        if takes_for_constant(function, args):
            raise RuntimeError(
                f"the backward pass of {function.__name__} takes for constant what depends on its input, so it has a "
                "gradient and a wrong second derivative; let it keep its input (ctx.save_for_backward) and compute "
                "with that"
            )
        if is_no_derivative(function, args):
            remarks.append(
                f"the backward pass of {function.__name__} is not the derivative of its forward pass: there is no loss "
                "whose Hessian this is; the products are autograd's, not the change of the gradient along a walk"
            )
    return remarks


@contextmanager
def watched_hooks(replacing: list[str]) -> Iterator[None]:
    """A forward pass; `replacing` gets a remark for a tensor's hook from it that gives another gradient later on."""
    original = Tensor.register_hook

    def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Any:
        @wraps(hook)
        def watched(gradient: Tensor) -> Tensor | None:
            found = hook(gradient)
            if found is not None and found is not gradient:
                replacing.append(
                    f"a tensor's hook ({getattr(hook, '__qualname__', type(hook).__name__)}) replaces its gradient: "
                    "there is no loss whose Hessian this is, if that is not the derivative of what was computed; the "
                    "products are autograd's, not the change of the gradient along a walk"
                )
            return found

        return original(tensor, watched)

    with closed_undisturbed() as stack:
        stack.callback(setattr, Tensor, "register_hook", original)
        Tensor.register_hook = register_hook  # type: ignore[method-assign,assignment]
        yield


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
    return _alone(function, args, _Alone.backward_differs)


def is_no_derivative(function: Any, args: Sequence[Any]) -> bool:
    """Whether the function's backward pass is certainly not the derivative of its forward pass."""
    return _alone(function, args, _Alone.forward_differs)


def _alone(function: Any, args: Sequence[Any], differs: Callable[["_Alone"], bool]) -> bool:
    state = torch.get_rng_state()
    try:
        with torch.enable_grad():
            return differs(_Alone(function, args))
    except Exception:  # whatever it is: it does not let itself be run alone
        return False
    finally:
        torch.set_rng_state(state)


class _Alone:
    """One call of a function, run again in float64 at x + step·u."""

    def __init__(self, function: Any, args: Sequence[Any]) -> None:
        self._function, self._args = function, args
        self._moved = [index for index, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not all(args[index].is_floating_point() for index in self._moved):
            raise TypeError("complex inputs")
        self._draws = torch.Generator(device="cpu").manual_seed(0)
        self._start = [args[index].detach().double() for index in self._moved]
        self.ways = [self._random_like(x) * (x.square().mean().sqrt() if x.any() else 1.0) for x in self._start]
        self._seed = torch.get_rng_state()  # the same draws (a mask of its own) at every x
        self._given: list[Tensor] = []
        self._weights: list[Tensor] = []

    def backward_differs(self) -> bool:
        """Whether the derivative of ⟨r, B⟩ along u is not its quotient of differences."""
        terms, inputs, _ = self._at(0.0)
        slopes = torch.autograd.grad(terms.sum(), inputs, allow_unused=True)
        return _is_other(lambda step: self._at(step)[0], terms, self._along(slopes))

    def forward_differs(self) -> bool:
        """Whether ⟨B, u⟩ is not the quotient of differences of ⟨g, f⟩."""
        _, inputs, values = self._at(0.0)
        slopes = torch.autograd.grad(values.sum(), inputs, allow_unused=True)
        return _is_other(lambda step: self._at(step)[2], values, self._along(slopes))

    def _at(self, step: float) -> tuple[Tensor, list[Tensor], Tensor]:
        """The terms of ⟨r, B⟩, the inputs x + step·u, and the terms of ⟨g, f⟩."""
        torch.set_rng_state(self._seed)
        inputs = [(x + step * u).requires_grad_() for x, u in zip(self._start, self.ways, strict=True)]
        all_args = [_doubled(a) for a in self._args]
        for index, x in zip(self._moved, inputs, strict=True):
            all_args[index] = x.view_as(x)  # may be written to: no leaf
        found = self._function.apply(*all_args)
        outputs = [y for y in (found if isinstance(found, tuple) else (found,)) if isinstance(y, Tensor)]
        outputs = [y for y in outputs if y.requires_grad]
        self._given.extend(map(self._random_like, outputs[len(self._given) :]))
        factors = [g.clone().requires_grad_() for g in self._given]  # without a graph, no derivative is asked for
        gradients = torch.autograd.grad(outputs, inputs, factors, create_graph=True, allow_unused=True)
        kept = [b for b in gradients if b is not None]
        self._weights.extend(map(self._random_like, kept[len(self._weights) :]))
        if any(t.dtype != torch.float64 for t in (*outputs, *kept)):
            raise TypeError("computed in another precision")
        return _terms(self._weights, kept), inputs, _terms(self._given, outputs)

    def _along(self, slopes: Sequence[Tensor | None]) -> float:
        return sum((s * u).sum().item() for s, u in zip(slopes, self.ways, strict=True) if s is not None)

    def _random_like(self, tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=self._draws, dtype=torch.float64, device="cpu").to(tensor.device)


def _terms(factors: Sequence[Tensor], tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([(r * t).flatten() for r, t in zip(factors, tensors, strict=True)])


def _is_other(terms_at: Callable[[float], Tensor], terms: Tensor, derived: float) -> bool:
    """Whether a sum of terms, smooth around here, has certainly another derivative than this."""
    base, again, right, left, near = (
        value.sum().item() for value in (terms, *(terms_at(step) for step in (0.0, _DELTA, -_DELTA, _TINY)))
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
