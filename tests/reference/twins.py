"""What the probes should find, computed the slow way: a fresh copy of the model for every evaluation, `.backward()` for
gradients, central differences of gradients for Hessians, loops for everything else.

Common random numbers come from setting torch's generator to the state that the caller had. Nothing here is shared with
the code under test.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[[nn.Module, Any], Tensor]


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trainable(model).items()}


def evaluate(
    model: nn.Module, loss_fn: Loss, batch: Any, weights: dict[str, Tensor], mode: str = "train"
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradient of a deep copy of the model with these weights."""
    state = torch.get_rng_state()
    twin = copy.deepcopy(model)
    twin.train(mode == "train")
    parameters = trainable(twin)
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(weights[name])
            p.grad = None
    loss = loss_fn(twin, copy.deepcopy(batch))
    loss.backward()
    torch.set_rng_state(state)
    zero = {name: torch.zeros_like(p) for name, p in parameters.items()}
    return loss.item(), {name: zero[name] if p.grad is None else p.grad.clone() for name, p in parameters.items()}


def flat(vector: dict[str, Tensor]) -> Tensor:
    return torch.cat([v.reshape(-1) for v in vector.values()])


def unflat(vector: Tensor, like: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = vector.split([v.numel() for v in like.values()])
    return {name: part.reshape(v.shape) for (name, v), part in zip(like.items(), parts, strict=True)}


def walk(
    model: nn.Module, loss_fn: Loss, batch: Any, steps: list[float], direction: Tensor | None, mode: str
) -> dict[str, Any]:
    """The fields of a landscape probe along `direction` (flat), or along the gradient for None."""
    start = weights_of(model)
    w = flat(start)
    loss, gradient = evaluate(model, loss_fn, batch, start, mode)
    g = flat(gradient)
    d = g if direction is None else direction
    rows: dict[str, Any] = {"loss": loss, "grad_norm": g.norm().item()}
    rows |= {"losses": [], "gradient_distances": [], "gradient_cosines": [], "betas": []}
    for step in steps:
        there, gradient_there = evaluate(model, loss_fn, batch, unflat(w - step * d, start), mode)
        g2 = flat(gradient_there)
        rows["losses"].append(there)
        rows["gradient_distances"].append((g2 - g).norm().item())
        rows["gradient_cosines"].append((g2 @ g / g2.norm() / g.norm()).item())
        moved = (step * d).norm().item()
        rows["betas"].append((g2 - g).norm().item() / moved if moved else math.nan)
    return rows


def walk_rows(found: dict[str, Any], labels: list[float], first: int) -> dict[tuple[str, float | None], float]:
    """What a study writes of a walk: (quantity, None) for a summary over its `first` step sizes, and (quantity, label)
    for every step size by itself."""
    losses, distances = found["losses"][:first], found["gradient_distances"][:first]
    both = [found["loss"], *losses]
    rows: dict[tuple[str, float | None], float] = {
        ("loss", None): found["loss"],
        ("grad_norm", None): found["grad_norm"],
        ("loss_low", None): min(both),
        ("loss_high", None): max(both),
        ("loss_range", None): max(both) - min(both),
        ("loss_low_steps", None): min(losses),
        ("loss_high_steps", None): max(losses),
        ("loss_range_steps", None): max(losses) - min(losses),
        ("gradient_distance_low", None): min(distances),
        ("gradient_distance_high", None): max(distances),
        ("effective_beta", None): max(found["betas"][:first]),
    }
    columns = {"loss": "losses", "gradient_distance": "gradient_distances", "gradient_cosine": "gradient_cosines"}
    for name, column in {**columns, "beta": "betas"}.items():
        rows |= {(name, label): value for label, value in zip(labels, found[column], strict=True)}
    return rows


def shift(
    model: nn.Module, loss_fn: Loss, batch: Any, own: tuple[str, ...], before: set[str], new: dict[str, Tensor]
) -> tuple[float, float, float]:
    """l2, relative l2 and cosine of the gradient of `own` when the parameters `before` take their new values."""
    old = weights_of(model)
    mixed = {name: new[name] if name in before else value for name, value in old.items()}
    g = torch.cat([evaluate(model, loss_fn, batch, old)[1][name].reshape(-1) for name in own])
    g2 = torch.cat([evaluate(model, loss_fn, batch, mixed)[1][name].reshape(-1) for name in own])
    l2 = (g - g2).norm()
    return l2.item(), (l2 / g.norm()).item(), (g @ g2 / g.norm() / g2.norm()).item()


def hessian(model: nn.Module, loss_fn: Loss, batch: Any, mode: str = "train", width: float = 1e-5) -> Tensor:
    """Dense Hessian (n, n) by central differences of the gradient; off by about 1e-9 in float64."""
    start = weights_of(model)
    w = flat(start)
    columns = []
    for index in range(w.numel()):
        offset = torch.zeros_like(w)
        offset[index] = width
        up = flat(evaluate(model, loss_fn, batch, unflat(w + offset, start), mode)[1])
        down = flat(evaluate(model, loss_fn, batch, unflat(w - offset, start), mode)[1])
        columns.append((up - down) / (2 * width))
    dense = torch.stack(columns, dim=1)
    return (dense + dense.T) / 2
