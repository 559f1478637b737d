"""Gradients as autograd gives them, with what a backward pass inside the backward pass adds to `.grad`.

Reversible layers and memory savers (a `torch.autograd.Function` whose backward pass computes its forward pass anew and
runs `.backward()` on that) add their share of the gradient to `.grad` and do not return it. So two things are seen to:

    the share       is taken from `.grad`, which itself stays the caller's
    its function    is run whatever lies behind it: asked for given parameters, autograd leaves out what leads to none
                    of them, such as a function that frozen layers feed

A graph shows which functions are of Python, so that nothing of this costs a model without them more than a look at it.
What the forward pass adds to `.grad` is another matter: no part of ∇L where all of the graph is autograd's own (forces
by `energy.backward()`), and perhaps one where such a function is (a loss that goes backward at once).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

Found = list[Tensor | None]


def gradients_of(
    loss: Tensor, parameters: Sequence[Tensor], create_graph: bool = False, added: Sequence[Tensor] = ()
) -> Found:
    """∇L for each parameter: None where it is unused, sparse where the layer says so.

    Args:
        loss: with its graph.
        parameters: leaves of it.
        create_graph: the gradient is to be differentiated once more.
        added: parameters to whose `.grad` the forward pass has added.

    Raises:
        RuntimeError: a graph of the gradient is wanted, and a part of it has none; or what the forward pass has added
            may be a part of it.
    """
    if not parameters:
        return []
    functions = own_functions(loss)
    if functions and added:
        raise RuntimeError(
            f"the forward pass itself goes backward and adds to .grad of {len(added)} parameters (the first of shape "
            f"{tuple(added[0].shape)}), and runs {functions[0].name()}: whether that is a part of the loss's gradient "
            "cannot be told; let it use torch.autograd.grad instead"
        )
    behind = _leaves_behind(functions, parameters)
    kept = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    if create_graph:
        returned = _with_graph(loss, parameters, functions)
        if behind:
            torch.autograd.grad(loss, behind, retain_graph=True, allow_unused=True)
    else:
        returned = torch.autograd.grad(loss, [*parameters, *behind], allow_unused=True)[: len(parameters)]
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


def gradient_marks(parameters: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Which tensor each `.grad` is, and how often it was written; other marks later mean that it was added to."""
    gradients = [p.grad for p in parameters]
    return [(0, 0) if grad is None else (id(grad), grad._version) for grad in gradients]


def total(gradients: tuple[Tensor | None, Tensor | None]) -> Tensor | None:
    """The sum of two shares of a gradient, None for neither."""
    first, second = gradients
    return second if first is None else first if second is None else first + second


def own_functions(loss: Tensor) -> list[Any]:
    """The nodes of the loss's graph whose backward pass is Python code, of a `torch.autograd.Function`."""
    nodes = _reached([loss.grad_fn] if loss.grad_fn is not None else [])
    return [node for node in nodes if isinstance(node, BackwardCFunction)]


def _leaves_behind(functions: Sequence[Any], parameters: Sequence[Tensor]) -> list[Tensor]:
    """Leaves of the graph that the functions lead to, without the parameters: asking for them runs the functions."""
    known = {id(p) for p in parameters}
    ends = [node for node in _reached(functions) if not node.next_functions and hasattr(node, "variable")]
    return [node.variable for node in ends if id(node.variable) not in known]


def _reached(nodes: Sequence[Any]) -> list[Any]:
    """These nodes of a graph and all that they lead to, each once."""
    found, seen = list(nodes), set(nodes)
    for node in found:  # grows meanwhile
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                found.append(following)
    return found


def _with_graph(loss: Tensor, parameters: Sequence[Tensor], functions: Sequence[Any]) -> tuple[Tensor | None, ...]:
    """∇L with its graph.

    What a function returns is linear in what it is given. So a result that is not zero and has no graph, although what
    was given has one, was computed outside of autograd, and its derivative would be missing without a word.
    """
    if not functions:
        return torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    without: list[str] = []

    def look(name: str, results: Sequence[Tensor | None], given: Sequence[Tensor | None]) -> None:
        if any(g is not None and g.requires_grad for g in given):
            without.extend(name for r in results if r is not None and not r.requires_grad and bool(r.any()))

    def looking(node: Any) -> Any:
        return node.register_hook(lambda results, given: look(node.name(), results, given))

    hooks = [looking(node) for node in functions]
    try:
        factor = torch.ones_like(loss, requires_grad=True)  # every gradient on the way depends on it
        returned = torch.autograd.grad(loss * factor, parameters, create_graph=True, allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
    if without:
        raise RuntimeError(
            f"the backward pass of {without[0]} computes without a graph, as in a reversible layer: the gradient of "
            "what lies behind it has no second derivative"
        )
    return returned
