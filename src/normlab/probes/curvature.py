"""Second derivatives of the loss by double backward: Hessian-vector products, curvature along the gradient.

H = ∇²L(w) over all trainable parameters, on one batch. No finite differences: in float32 they are off by a factor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.batches import takes_batches
from normlab.probes.entry import objective_at
from normlab.probes.hessian import hessian_of
from normlab.probes.objective import Batch, LossFn
from normlab.probes.vectors import check_vector, dot, l2_norm


@dataclass(frozen=True)
class DirectionalCurvature:
    """Curvature along the gradient g.

    Attributes:
        rayleigh: gᵀHg / gᵀg, the second derivative of the loss along g; NaN if g = 0.
        stretch: ‖Hg‖₂ / ‖g‖₂, the limit of `effective_beta` for step sizes to zero; NaN if g = 0.
        grad_norm: ‖g‖₂.
        mode: "train" or "eval".
        notes: reasons of undefined values and remarks.
    """

    rayleigh: float
    stretch: float
    grad_norm: float
    mode: str
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs."""
        return {"rayleigh": self.rayleigh, "stretch": self.stretch, "grad_norm": self.grad_norm}

    def plot(self, ax: Any = None) -> Any:
        """Both measures, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_curvature

        return plot_curvature(self, ax)


@takes_batches
def hessian_vector_product(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    vector: Sequence[Tensor],
    *,
    mode: str = "train",
    also: Sequence[nn.Module] = (),
) -> list[Tensor]:
    """Hv with H = ∇²L(w), by double backward.

        Hv = ∇_w ⟨∇L(w), v⟩

    Cost: one forward pass, one backward pass with a graph, one backward pass through both.

    Args:
        model: any module; trainable parameters are those with `requires_grad`, tied ones once.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; or `batches=`, as in `landscape`.
        vector: v, a list of tensors shaped like the trainable parameters, in their order.
        mode: "train" (batch statistics; default) or "eval".
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Returns:
        Hv, shaped like v, detached, on the CPU; zero for parameters that the loss does not use or uses linearly.

    Example:
        >>> import torch
        >>> from normlab.probes import hessian_vector_product
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> hessian_vector_product(model, lambda m, x: m(x).square().sum(), torch.eye(2), [torch.tensor([[1.0, 3.0]])])
        [tensor([[2., 6.]])]

    Raises:
        TypeError: a bfloat16 or half model, a vector that is no list of tensors.
        ValueError: a vector of other shapes, sparse, complex for real parameters, without values or with values that
            are not finite, and what `landscape` refuses.
        RuntimeError: torch has no second derivative of some layer (the message of torch says which), or a custom
            `torch.autograd.Function` has a wrong one: its backward pass takes for constant what depends on its input.
    """
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective:
        v = check_vector(vector, objective.parameters, "vector")
        with hessian_of(objective) as hessian:
            return [h.cpu() for h in hessian.times(v)]


@takes_batches
def directional_curvature(
    model: nn.Module, loss_fn: LossFn, batch: Batch, *, mode: str = "train", also: Sequence[nn.Module] = ()
) -> DirectionalCurvature:
    """Curvature of the loss along its own gradient g = ∇L(w).

        rayleigh = gᵀHg / gᵀg            stretch = ‖Hg‖₂ / ‖g‖₂

    `stretch` is what the paper's effective β-smoothness (Section 3.1, Figure 4c) tends to for small steps, free of the
    grid of step sizes; full-batch gradient descent with learning rate η drives it to 2/η (edge of stability).
    Where backward passes are not derivatives (reversed gradients) that limit is another number, and `notes` say so.
    A loss that is linear in the parameters gives zeros; a zero gradient gives NaN and says so in `notes`.

    Cost: one forward pass, one backward pass with a graph, one backward pass through both.

    Args:
        model: any module.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; or `batches=`, as in `landscape`.
        mode: "train" (batch statistics; default) or "eval".
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Example:
        >>> import torch
        >>> from normlab.probes import directional_curvature
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> found = directional_curvature(model, lambda m, x: m(x).square().sum(), torch.eye(2))
        >>> round(found.rayleigh, 4), round(found.stretch, 4)
        (2.0, 2.0)

    Raises:
        TypeError, ValueError: as `landscape`.
    """
    notes: tuple[str, ...] = ()
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective, hessian_of(objective) as hessian:
        g = hessian.gradient
        norm = l2_norm(g)
        if norm == 0:
            notes = ("zero gradient: the curvature along it is undefined",)
            return DirectionalCurvature(math.nan, math.nan, 0.0, mode, notes)
        if not math.isfinite(norm):
            notes = ("the gradient is not finite: the curvature along it is undefined",)
            return DirectionalCurvature(math.nan, math.nan, norm, mode, notes)
        unit = [
            (x.to(torch.promote_types(x.dtype, torch.float64)) / norm).to(x.dtype) for x in g
        ]  # of unit length: H·g could overflow where H·unit does not
        image = hessian.times(unit)
        stretch, rayleigh = l2_norm(image), dot(unit, image)
        if not math.isfinite(stretch):
            notes = ("the Hessian-vector product is not finite",)
        objective.recheck()
        return DirectionalCurvature(rayleigh, stretch, norm, mode, (*notes, *objective.notes))
