"""Directions to walk along: the gradient, the optimizer's real next step, random ones, given ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from normlab.probes.next_step import NO_STEP, optimizer_step, stands_still
from normlab.probes.objective import Objective
from normlab.probes.vectors import check_vector, is_finite_real, l2_norm, shown

NAMED = ("gradient", "random", "filter")
WITHOUT_GRADIENT = ("given", "filter")  # a walk along these needs none, unless it compares gradients


@dataclass(frozen=True)
class Start:
    """The base point of a walk and where it leads.

    Attributes:
        loss: L(w).
        gradient: ∇L(w), None if it was not needed.
        grad_norm: its length, NaN without it.
        direction: d, one tensor a trainable parameter.
        length: ‖d‖₂.
        notes: remarks.
    """

    loss: float
    gradient: list[Tensor] | None
    grad_norm: float
    direction: list[Tensor]
    length: float
    notes: tuple[str, ...] = ()


def direction_kind(direction: Any, optimizer: Any) -> str:
    """ "gradient", "random", "filter", "given" or "optimizer".

    Raises:
        ValueError: an unknown name, or a direction beside an optimizer.
    """
    named = direction if isinstance(direction, str) else "given"
    if named not in (*NAMED, "given"):
        raise ValueError(
            "direction must be 'gradient', 'random', 'filter' or a list of tensors shaped like the parameters, "
            f"got {shown(direction)}"
        )
    if optimizer is None:
        return named
    if named != "gradient":  # the default
        raise ValueError("give either optimizer (its next step is the direction) or direction, got both")
    return "optimizer"


def start_walk(
    objective: Objective, kind: str, given: Any, optimizer: Any, gradients: bool, generator: torch.Generator | None
) -> Start:
    """Evaluate the base point, with a gradient only where direction or caller need it, and choose the direction."""
    if not gradients and kind in WITHOUT_GRADIENT:
        direction = chosen_direction(objective, kind, given, generator)
        return Start(objective.loss(), None, math.nan, direction, l2_norm(direction))
    if kind == "given":
        direction = chosen_direction(objective, kind, given, generator)  # refused before it costs anything
    graph = objective.loss_with_graph()
    loss, raw = graph.item(), objective.raw_gradient(graph)
    gradient = objective.dense(raw)
    norm = l2_norm(gradient)
    if kind == "gradient":
        return Start(loss, gradient, norm, gradient, norm)
    if kind == "random":
        return Start(loss, gradient, norm, scaled_to(gaussian(objective, generator), norm), norm)
    notes: tuple[str, ...] = ()
    if kind == "optimizer":
        new = optimizer_step(objective, raw, optimizer)
        direction = [w - n for w, n in zip(objective.weights, new, strict=True)]
        notes = (NO_STEP,) if stands_still(objective, gradient, new) else ()
    elif kind == "filter":
        direction = filter_normalized(objective, generator)
    return Start(loss, gradient, norm, direction, l2_norm(direction), notes)


def chosen_direction(
    objective: Objective, kind: str, given: Any, generator: torch.Generator | None, what: str = "direction"
) -> list[Tensor]:
    """A direction that needs no gradient: filter-normalized, of unit length ("random"), or the caller's."""
    if kind == "filter":
        return filter_normalized(objective, generator)
    if kind == "random":
        return scaled_to(gaussian(objective, generator), 1.0)
    return check_vector(given, objective.parameters, what)


def gaussian(objective: Objective, generator: torch.Generator | None) -> list[Tensor]:
    """A standard Gaussian over all trainable parameters."""
    generator = generator or objective.state.random.generator()
    return [
        torch.randn(p.shape, generator=generator, device=generator.device, dtype=p.dtype).to(p.device)
        for p in objective.parameters
    ]


def scaled_to(direction: list[Tensor], norm: float) -> list[Tensor]:
    """The direction with another length."""
    length = l2_norm(direction)
    return [d.mul_(norm / length) for d in direction]


def filter_normalized(objective: Objective, generator: torch.Generator | None) -> list[Tensor]:
    """A Gaussian whose filters (slices of the first axis) have the lengths of the weights' own: d_i ‖w_i‖/‖d_i‖.

    Parameters of fewer than two dimensions (biases, normalizers' scale and shift) do not move, as in Li et al. 2018; a
    filter of zeros stays where it is.
    """
    direction = gaussian(objective, generator)
    for d, weight in zip(direction, objective.weights, strict=True):
        if d.ndim < 2:
            d.zero_()
            continue
        axes = tuple(range(1, d.ndim))
        wanted = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        d.mul_(wanted / torch.linalg.vector_norm(d, dim=axes, keepdim=True))
    return direction


def checked_coordinates(values: Any, what: str) -> list[float]:
    """Finite real numbers, at least one, in the order given.

    Raises:
        TypeError: not a sequence.
        ValueError: empty, or a number that is not finite.
    """
    values = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise TypeError(f"{what} must be a sequence of real numbers, got {shown(values)}")
    if not values:
        raise ValueError(f"{what} is empty: give at least one")
    for value in values:
        if not is_finite_real(value):
            raise ValueError(f"{what} must be finite real numbers, got {shown(value)}")
    return [float(value) for value in values]
