"""Loss landscape along a line: loss variation, gradient predictiveness, effective β-smoothness (Figure 4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.batches import takes_batches
from normlab.probes.directions import WITHOUT_GRADIENT, Start, checked_coordinates, direction_kind, start_walk
from normlab.probes.entry import objective_at
from normlab.probes.objective import Batch, LossFn, Objective
from normlab.probes.vectors import compare


@dataclass(frozen=True)
class LandscapeProbe:
    """One walk w_k = w − step_size_k · d over the loss landscape of one batch.

    Arrays have one entry a step size, in the order given, on the CPU: `losses`, `gradient_distances`,
    `gradient_cosines` and `betas` in the model's floating type, `step_sizes` (the coordinates, exactly as given) in
    float64. Forward-only walks have None for the gradient fields.

    Attributes:
        loss: L(w), the base point.
        grad_norm: ‖g‖₂ with g = ∇L(w); NaN if no gradient was taken.
        step_sizes: (K,) absolute multiples of d, not in units of a learning rate.
        losses: (K,) L(w_k).
        gradient_distances: (K,) ‖∇L(w_k) − g‖₂.
        gradient_cosines: (K,) cosine of the angle between ∇L(w_k) and g.
        betas: (K,) ‖∇L(w_k) − g‖₂ / ‖w_k − w‖₂; NaN where w_k = w.
        mode: "train" or "eval".
        direction: "gradient", "random", "filter", "given" or "optimizer".
        notes: reasons of undefined values and remarks.
    """

    loss: float
    grad_norm: float
    step_sizes: Tensor
    losses: Tensor
    gradient_distances: Tensor | None
    gradient_cosines: Tensor | None
    betas: Tensor | None
    mode: str
    direction: str
    notes: tuple[str, ...] = ()

    @property
    def loss_low(self) -> float:
        """min of L over the K steps and the base point; NaN if any of them is NaN."""
        return _low([self.loss, *self.losses.tolist()])

    @property
    def loss_high(self) -> float:
        """max of L over the K steps and the base point; inf or NaN if any of them is."""
        return _high([self.loss, *self.losses.tolist()])

    @property
    def loss_range(self) -> float:
        """`loss_high` − `loss_low`: the loss variation of Figure 4(a)."""
        return self.loss_high - self.loss_low

    @property
    def loss_low_steps(self) -> float:
        """min of L over the K steps alone, as the paper words it (Section 3.1); NaN if any of them is NaN."""
        return _low(self.losses.tolist())

    @property
    def loss_high_steps(self) -> float:
        """max of L over the K steps alone; inf or NaN if any of them is."""
        return _high(self.losses.tolist())

    @property
    def loss_range_steps(self) -> float:
        """`loss_high_steps` − `loss_low_steps`: the loss variation without the base point, at most `loss_range`."""
        return self.loss_high_steps - self.loss_low_steps

    @property
    def gradient_distance_low(self) -> float:
        """min of ‖∇L(w_k) − g‖₂ over the K steps, the lower edge of Figure 4(b); NaN in a forward-only walk."""
        return math.nan if self.gradient_distances is None else _low(self.gradient_distances.tolist())

    @property
    def gradient_distance_high(self) -> float:
        """max of ‖∇L(w_k) − g‖₂ over the K steps, the upper edge of Figure 4(b); NaN in a forward-only walk."""
        return math.nan if self.gradient_distances is None else _high(self.gradient_distances.tolist())

    @property
    def effective_beta(self) -> float:
        """max of `betas`, the effective β-smoothness of Figure 4(c).

        Undefined entries (w_k = w: step size 0 or zero gradient) are left out, NaN if none remains; a step at which
        the gradient was not finite is not left out and makes the maximum inf or NaN.
        """
        if self.betas is None or self.gradient_distances is None:
            return math.nan
        pairs = zip(self.betas.tolist(), self.gradient_distances.tolist(), strict=True)
        return _high([beta for beta, distance in pairs if not (math.isnan(beta) and math.isfinite(distance))])

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs: what was measured, without the arrays."""
        summary = {name: getattr(self, name) for name in ("loss", "loss_low", "loss_high", "loss_range")}
        if self.betas is not None or self.direction not in WITHOUT_GRADIENT:
            summary["grad_norm"] = self.grad_norm
        if self.betas is not None:
            for name in ("gradient_distance_low", "gradient_distance_high", "effective_beta"):
                summary[name] = getattr(self, name)
        return summary

    def plot(self, ax: Any = None) -> Any:
        """Loss over step size, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_landscape

        return plot_landscape(self, ax)


@takes_batches
def landscape(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    step_sizes: Sequence[float] | Tensor,
    *,
    direction: str | Sequence[Tensor] = "gradient",
    mode: str = "train",
    gradients: bool = True,
    generator: torch.Generator | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    also: Sequence[nn.Module] = (),
) -> LandscapeProbe:
    """Walk w_k = w − step_size_k · d and measure loss and gradient there, on one batch, at one point of training.

        loss variation             max_k L(w_k) − min_k L(w_k)      k over the steps and the base point (Figure 4a)
        gradient predictiveness    ‖∇L(w_k) − ∇L(w)‖₂                                               (Figure 4b)
        effective β-smoothness     max_k ‖∇L(w_k) − ∇L(w)‖₂ / ‖w_k − w‖₂                            (Figure 4c)

    This is the paper's *local* measure (Section 3.1), not a spread over separately trained networks. The paper walks
    along its own gradient, d = g, with step sizes between one half and four times the learning rate. Note that where
    the gradient has changed by about its own norm at the smallest step already, `effective_beta` is 1/step size: look
    at `betas` before reading it as smoothness.

    Cost: one forward and backward pass for g and one a step size (K + 1 loss evaluations); with `gradients=False`
    one forward and backward pass and K forwards, and with a given or "filter" direction K + 1 forwards. One forward
    more at the end sees whether the base point still has its loss; `notes` says so if not.

    Args:
        model: any module; trainable parameters are those with `requires_grad`, tied ones once.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; base point and steps all see it. `batches=` takes a list or `DataLoader` of them instead:
            `OverBatches` with mean, spread and each result.
        step_sizes: K real numbers, absolute (multiples of d), in any order; 0 and negative ones are allowed.
        direction: "gradient" (d = g), "random" (Gaussian, scaled to ‖d‖ = ‖g‖), "filter" (Gaussian, each filter scaled
            to the length of the weights' own; biases and normalizers stay, Li et al. 2018), or a list of tensors shaped
            like the trainable parameters, used as it is.
        mode: "train" (batch statistics; default) or "eval".
        gradients: False for the loss alone, without a graph at the K steps.
        generator: source of the random direction; by default torch's global CPU state, which is not consumed.
        optimizer: walk along its real next step instead, d = w − w_next from its present state, groups and weight
            decay, taken on a copy: step size 1 is where training goes (Adam, momentum), 2 is twice as far.
        also: modules outside of the model whose state the loss changes and which `loss_fn` does not show (those that
            it closes over, is bound to or names are found).

    Returns:
        The walk; inf and NaN at a step are results and stay in it.

    Example:
        >>> import torch
        >>> from normlab.probes import landscape
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> walk = landscape(model, lambda m, x: m(x).square().sum(), torch.eye(2), step_sizes=[0.1, 0.2])
        >>> round(walk.effective_beta, 4)  # of wᵀw the curvature is 2 everywhere
        2.0

    Raises:
        TypeError: a bfloat16 or half model, or arguments of another kind.
        ValueError: no step sizes, one that is not finite, an unknown direction or mode, a direction beside an
            optimizer, an optimizer that needs a closure, no trainable parameter, a loss that is not a scalar attached
            to the graph.
    """
    steps = checked_coordinates(step_sizes, "step_sizes")
    kind = direction_kind(direction, optimizer)
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective:
        start = start_walk(objective, kind, direction, optimizer, gradients, generator)
        found = walk_from(objective, start, steps, mode, kind, gradients)
        objective.recheck()
        return replace(found, notes=(*found.notes, *objective.notes))


def walk_from(
    objective: Objective, start: Start, steps: list[float], mode: str, kind: str, gradients: bool = True
) -> LandscapeProbe:
    """The walk from a base point that was evaluated, so that several walks share it; without a look back at it."""
    rows = [_visit(objective, start, step, gradients) for step in steps]
    losses, distances, cosines, betas = (list(column) for column in zip(*rows, strict=True))
    dtype = objective.dtype

    def array(values: list[float]) -> Tensor | None:
        return torch.tensor(values, dtype=dtype, device="cpu") if gradients else None

    return LandscapeProbe(
        loss=start.loss,
        grad_norm=start.grad_norm,
        step_sizes=torch.tensor(steps, dtype=torch.float64, device="cpu"),
        losses=torch.tensor(losses, dtype=dtype, device="cpu"),
        gradient_distances=array(distances),
        gradient_cosines=array(cosines),
        betas=array(betas),
        mode=mode,
        direction=kind,
        notes=(*_notes(start.grad_norm, steps, rows, gradients), *start.notes),
    )


def _visit(objective: Objective, start: Start, step: float, gradients: bool) -> tuple[float, float, float, float]:
    """Loss, gradient distance, gradient cosine and beta at w − step·d; the last three NaN in a forward-only walk."""
    objective.walk(start.direction, step)
    if not gradients or start.gradient is None:
        return objective.loss(), math.nan, math.nan, math.nan
    moved = objective.distance(abs(step) * start.length)
    loss, there = objective.gradient()
    change = compare(there, start.gradient)
    beta = math.nan if moved == 0 else change.distance / moved
    return loss, change.distance, change.cosine, beta


def _notes(grad_norm: float, steps: list[float], rows: Sequence[tuple[float, ...]], gradients: bool) -> tuple[str, ...]:
    notes = []
    if not gradients:
        notes.append("forward-only: the gradient's distances, cosines and betas were not measured")
    if grad_norm == 0:
        notes.append("zero gradient: gradient cosines are undefined, and so are betas where the walk does not move")
    elif gradients and not math.isfinite(grad_norm):
        notes.append("the gradient at the base point is not finite")
    if 0 in steps:
        notes.append("step size 0: beta is undefined (no distance moved) and left out of effective_beta")
    unmoved = [s for s, row in zip(steps, rows, strict=True) if s and math.isnan(row[3]) and math.isfinite(row[1])]
    if unmoved and grad_norm:
        notes.append(f"the walk does not move the weights at step sizes {unmoved}: beta is undefined there")
    bad = [s for s, row in zip(steps, rows, strict=True) if not all(map(math.isfinite, row[: 2 if gradients else 1]))]
    if bad:
        notes.append(f"loss or gradient is not finite at step sizes {bad}")
    return tuple(notes)


def _low(values: list[float]) -> float:
    return math.nan if not values or any(map(math.isnan, values)) else min(values)


def _high(values: list[float]) -> float:
    return math.nan if not values or any(map(math.isnan, values)) else max(values)
