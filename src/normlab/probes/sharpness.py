"""Curvature that stochastic gradient descent feels: along each batch's own gradient."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.curvature import directional_curvature
from normlab.probes.objective import Batch, LossFn


@dataclass(frozen=True)
class BatchSharpness:
    """Curvature along the gradient of single batches, averaged.

    Attributes:
        value: mean over the batches of g_bᵀH_b g_b / ‖g_b‖².
        standard_error: of that mean; NaN for one batch.
        per_batch: (B,) the quotients, float64.
        mode: "train" or "eval".
        notes: reasons of undefined values and remarks.
    """

    value: float
    standard_error: float
    per_batch: Tensor
    mode: str
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs."""
        return {"value": self.value, "standard_error": self.standard_error}

    def plot(self, ax: Any = None) -> Any:
        """The mean and each batch, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_estimate

        return plot_estimate(
            self.value, self.standard_error, f"curvature ({self.mode} mode)", ax, self.per_batch.tolist()
        )


def batch_sharpness(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Batch],
    *,
    mode: str = "train",
    also: Sequence[nn.Module] = (),
) -> BatchSharpness:
    """Curvature that stochastic gradient descent feels: along each batch's own gradient, averaged over batches.

        E_b [ g_bᵀ H_b g_b / ‖g_b‖² ]        g_b, H_b: gradient and Hessian of the loss on batch b, its own statistics

    Stochastic gradient descent with learning rate η drives it to 2/η, as full-batch descent does the sharpness (edge of
    stochastic stability, Andreyev and Beneventano 2024).

    Cost: for each batch what `directional_curvature` costs.

    Args:
        model: any module.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batches: a list or a `DataLoader` of batches.
        mode: "train" (batch statistics; default) or "eval".
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Example:
        >>> import torch
        >>> from normlab.probes import batch_sharpness
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> batches = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])]
        >>> batch_sharpness(model, lambda m, x: m(x).square().sum(), batches).value
        5.0

    Raises:
        TypeError, ValueError: as `landscape`; no batches.
    """
    found = directional_curvature(model, loss_fn, batches=batches, mode=mode, also=also)
    values = torch.tensor([one.rayleigh for one in found.per_batch], dtype=torch.float64, device="cpu")
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return BatchSharpness(values.mean().item(), error, values, mode, found.notes)
