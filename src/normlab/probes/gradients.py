"""Gradients as autograd gives them, with what a backward pass inside the backward pass adds to `.grad`."""

from collections.abc import Sequence

import torch
from torch import Tensor


def gradients_of(loss: Tensor, parameters: Sequence[Tensor], create_graph: bool = False) -> list[Tensor | None]:
    """∇L for each parameter: None where it is unused, sparse where the layer says so.

    Reversible layers compute their forward pass anew in the backward pass, and run `.backward()` on it: their share of
    the gradient is added to `.grad` and not returned. It is taken from there; `.grad` itself stays the caller's.

    Raises:
        RuntimeError: such a share while a graph of the gradient is wanted.
    """
    if not parameters:
        return []
    kept = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    returned = torch.autograd.grad(loss, parameters, create_graph=create_graph, allow_unused=True)
    inner = [p.grad for p in parameters]
    for p, grad in zip(parameters, kept, strict=True):  # after an error the probe's end puts them back
        p.grad = grad
    shares = [grad for grad in inner if grad is not None]
    if shares and create_graph:
        raise RuntimeError(
            f"the gradient of {len(shares)} parameters (the first of shape {tuple(shares[0].shape)}) comes from a "
            "backward pass inside the backward pass, as in a reversible layer: it has no second derivative"
        )
    return [total(pair) for pair in zip(returned, inner, strict=True)] if shares else list(returned)


def total(gradients: tuple[Tensor | None, Tensor | None]) -> Tensor | None:
    """The sum of two shares of a gradient, None for neither."""
    first, second = gradients
    return second if first is None else first if second is None else first + second
