"""Loss on a plane through the weights, and trajectories of training projected on it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.batches import takes_batches
from normlab.probes.directions import checked_coordinates, chosen_direction
from normlab.probes.entry import objective_at
from normlab.probes.objective import Batch, LossFn, Objective
from normlab.probes.vectors import check_vector, dot, flatten, l2_norm, shown, unflatten

_NAMED = ("filter", "random", "trajectory")


@dataclass(frozen=True)
class PlaneProbe:
    """Losses on a grid of the plane w + x·d₁ + y·d₂.

    Attributes:
        loss: L(w), the base point (0, 0).
        xs: (X,) coordinates along d₁, float64, as given.
        ys: (Y,) coordinates along d₂.
        losses: (Y, X) L(w + x·d₁ + y·d₂), in the model's floating type; row y, column x.
        lengths: ‖d₁‖₂ and ‖d₂‖₂.
        cosine: of the angle between them: the plot's axes stand at a right angle, the directions need not.
        trajectory: (T, 2) coordinates of the points of the plane nearest to the given weights; None without any.
        distances: (T,) how far the given weights lie from the plane, ‖w_t − nearest‖₂.
        mode: "train" or "eval".
        directions: "filter", "random", "trajectory" or "given".
        notes: reasons of undefined values and remarks.
    """

    loss: float
    xs: Tensor
    ys: Tensor
    losses: Tensor
    lengths: tuple[float, float]
    cosine: float
    trajectory: Tensor | None
    distances: Tensor | None
    mode: str
    directions: str
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs."""
        everything = [self.loss, *self.losses.flatten().tolist()]
        undefined = any(map(math.isnan, everything))
        low, high = (math.nan, math.nan) if undefined else (min(everything), max(everything))
        return {"loss": self.loss, "loss_low": low, "loss_high": high, "loss_range": high - low}

    def plot(self, ax: Any = None) -> Any:
        """Contours of the loss, the base point and the trajectory, on matplotlib axes (which are returned)."""
        from normlab.probes.plots import plot_plane

        return plot_plane(self, ax)


@takes_batches
def landscape_plane(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    xs: Sequence[float] | Tensor,
    ys: Sequence[float] | Tensor,
    *,
    directions: str | tuple[Sequence[Tensor], Sequence[Tensor]] = "filter",
    trajectory: Sequence[Sequence[Tensor] | Mapping[str, Tensor]] | None = None,
    mode: str = "train",
    generator: torch.Generator | None = None,
    also: Sequence[nn.Module] = (),
) -> PlaneProbe:
    """Loss on a plane through the weights, L(w + x·d₁ + y·d₂), on one batch.

    The picture of Li et al. 2018 with the batch statistics that training uses. A plane shows two directions of
    millions: `distances` says how far a trajectory lies outside of it, and the curvature across is not seen at all.

    Cost: X·Y + 1 forward passes without a graph, and one with.

    Args:
        model: any module.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; all points see it. Or `batches=`, as in `landscape`.
        xs: X coordinates along d₁: multiples of it, signs as in w + x·d₁.
        ys: Y coordinates along d₂.
        directions: "filter" (two Gaussians, each filter scaled to the length of the weights' own; biases and
            normalizers stay), "random" (two Gaussians of unit length), "trajectory" (the two largest principal
            directions of w_t − w, of unit length), or a pair (d₁, d₂) of lists of tensors shaped like the trainable
            parameters.
        trajectory: weights of other moments of training: lists of tensors shaped like the trainable parameters, or
            state dicts. They are projected on the plane.
        mode: "train" (batch statistics; default) or "eval".
        generator: source of random directions; by default torch's global CPU state, which is not consumed.
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Example:
        >>> import torch
        >>> from normlab.probes import landscape_plane
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> loss = lambda model, x: model(x).square().mean()
        >>> plane = landscape_plane(model, loss, torch.eye(2), xs=[-1.0, 0.0, 1.0], ys=[0.0, 0.5])
        >>> plane.losses.shape
        torch.Size([2, 3])

    Raises:
        TypeError, ValueError: as `landscape`; directions that are parallel.
    """
    columns, rows = checked_coordinates(xs, "xs"), checked_coordinates(ys, "ys")
    _check_trajectory(trajectory)
    kind = _kind(directions, trajectory)
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective:
        path = [_weights(objective, point, index) for index, point in enumerate(trajectory or ())]
        first, second = _directions(objective, kind, directions, path, generator)
        gram = _gram(first, second)
        loss = objective.loss()
        losses = [[_loss_at(objective, first, x, second, y) for x in columns] for y in rows]
        objective.recheck()
        projected = [_project(objective, point, first, second, gram) for point in path]
        dtype, notes = objective.dtype, list(objective.notes)
    values = torch.tensor(losses, dtype=dtype, device="cpu")
    if not values.isfinite().all():
        notes.append(f"the loss is not finite at {int((~values.isfinite()).sum())} of {values.numel()} points")
    lengths = math.sqrt(gram[0]), math.sqrt(gram[2])
    coordinates = torch.tensor(projected, dtype=torch.float64, device="cpu").reshape(-1, 3)
    return PlaneProbe(
        loss=loss,
        xs=torch.tensor(columns, dtype=torch.float64, device="cpu"),
        ys=torch.tensor(rows, dtype=torch.float64, device="cpu"),
        losses=values,
        lengths=lengths,
        cosine=gram[1] / lengths[0] / lengths[1],
        trajectory=coordinates[:, :2] if path else None,
        distances=coordinates[:, 2] if path else None,
        mode=mode,
        directions=kind,
        notes=tuple(notes),
    )


def _check_trajectory(trajectory: Any) -> None:
    if trajectory is not None and (isinstance(trajectory, str) or not isinstance(trajectory, Sequence)):
        raise TypeError(
            "trajectory must be a list of weights (each a list of tensors shaped like the trainable parameters, or a "
            f"state dict), got {shown(trajectory)}"
        )


def _kind(directions: Any, trajectory: Any) -> str:
    if isinstance(directions, str):
        if directions not in _NAMED:
            raise ValueError(
                f"directions must be one of {', '.join(_NAMED)} or a pair of lists, got {shown(directions)}"
            )
        if directions == "trajectory" and (trajectory is None or len(trajectory) < 2):
            raise ValueError("directions='trajectory' needs a trajectory of at least two points")
        return directions
    if not isinstance(directions, list | tuple) or len(directions) != 2:
        raise TypeError(f"directions must be one of {', '.join(_NAMED)} or a pair of lists, got {shown(directions)}")
    return "given"


def _directions(
    objective: Objective, kind: str, given: Any, path: list[list[Tensor]], generator: torch.Generator | None
) -> tuple[list[Tensor], list[Tensor]]:
    if kind == "trajectory":
        steps = torch.stack([flatten(point) - flatten(objective.weights) for point in path]).double()
        # principal directions through w itself, not through the mean: the plane holds the base point
        _, sizes, axes = torch.linalg.svd(steps, full_matrices=False)
        if sizes[1] <= 1e-9 * sizes[0]:
            raise ValueError("the trajectory lies on one line through the weights: it spans no plane")
        first, second = (unflatten(axis, objective.weights) for axis in axes[:2])
        return first, second
    draws = generator or objective.state.random.generator()
    pair = given if kind == "given" else (None, None)
    first, second = (
        chosen_direction(objective, kind, one, draws, f"directions[{index}]") for index, one in enumerate(pair)
    )
    return first, second


def _gram(first: list[Tensor], second: list[Tensor]) -> tuple[float, float, float]:
    """⟨d₁, d₁⟩, ⟨d₁, d₂⟩, ⟨d₂, d₂⟩ of two directions that span a plane."""
    gram = dot(first, first), dot(first, second), dot(second, second)
    if gram[0] * gram[2] - gram[1] ** 2 <= 1e-12 * gram[0] * gram[2]:
        raise ValueError("the two directions are parallel (or one of them is zero): they span no plane")
    return gram


def _loss_at(objective: Objective, first: list[Tensor], x: float, second: list[Tensor], y: float) -> float:
    if x == y == 0:
        objective.place(objective.weights)
    else:
        pairs = zip(objective.weights, first, second, strict=True)
        objective.place([torch.add(torch.add(w, a, alpha=x), b, alpha=y) for w, a, b in pairs])
    return objective.loss()


def _weights(objective: Objective, point: Any, index: int) -> list[Tensor]:
    """One point of the trajectory as a list of tensors shaped like the trainable parameters."""
    what = f"trajectory[{index}]"
    if isinstance(point, Mapping):
        names = [name for name, p in objective.model.named_parameters() if p.requires_grad]
        missing = [name for name in names if name not in point]
        if missing:
            raise ValueError(f"{what} has no weights for {missing[0]!r}")
        point = [point[name] for name in names]
    return check_vector(point, objective.parameters, what)


def _project(
    objective: Objective, point: list[Tensor], first: list[Tensor], second: list[Tensor], gram: tuple[float, ...]
) -> tuple[float, float, float]:
    """Coordinates of the nearest point of the plane, and the distance to it."""
    step = [p - w for p, w in zip(point, objective.weights, strict=True)]
    a, b, c = gram
    u, v = dot(step, first), dot(step, second)
    x, y = (c * u - b * v) / (a * c - b * b), (a * v - b * u) / (a * c - b * b)
    away = [s - x * d - y * e for s, d, e in zip(step, first, second, strict=True)]
    return x, y, l2_norm(away)
