"""The trace of the Hessian, by Hutch++."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from normlab.probes.batches import takes_batches
from normlab.probes.entry import objective_at
from normlab.probes.hessian import Hessian, chosen_parameters, hessian_of
from normlab.probes.objective import Batch, LossFn
from normlab.probes.vectors import shown


@dataclass(frozen=True)
class Trace:
    """The trace of the Hessian, the sum of its eigenvalues.

    Attributes:
        value: the estimate.
        standard_error: of its random part; 0 where nothing was left to chance.
        products: number of Hessian-vector products used.
        mode: "train" or "eval".
        notes: reasons of undefined values and remarks.
    """

    value: float
    standard_error: float
    products: int
    mode: str
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs."""
        return {"value": self.value, "standard_error": self.standard_error, "products": float(self.products)}

    def plot(self, ax: Any = None) -> Any:
        """The value with its standard error, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_estimate

        return plot_estimate(self.value, self.standard_error, f"trace of the Hessian ({self.mode} mode)", ax)


@takes_batches
def trace(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    *,
    max_products: int = 99,
    mode: str = "train",
    generator: torch.Generator | None = None,
    parameters: str | Sequence[str] | None = None,
    also: Sequence[nn.Module] = (),
) -> Trace:
    """tr H of the Hessian H = ∇²L(w), by Hutch++ (Meyer et al. 2021).

        tr H = tr QᵀHQ + tr (I − QQᵀ)H(I − QQᵀ)        Q an orthonormal basis of H·S for a random S

    The first term, which holds the large eigenvalues, is exact; the second is estimated by Hutchinson's
    E[zᵀAz] = tr A for z of random signs. A third of the products makes Q, one its term, one the estimate. With at least
    n products for n parameters the trace is the exact sum of the diagonal.

    Cost: one forward pass, one backward pass with a graph, one backward pass through both a product, and one forward.

    Args:
        model: any module.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; or `batches=`, as in `landscape`.
        max_products: limit on the Hessian-vector products, at least 6.
        mode: "train" (batch statistics; default) or "eval".
        generator: source of the random vectors, by default torch's global CPU state, which is not consumed.
        parameters: a pattern of names ("features.*") or several: the trace of that diagonal block.
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Example:
        >>> import torch
        >>> from normlab.probes import trace
        >>> model = torch.nn.Linear(3, 1, bias=False)
        >>> trace(model, lambda m, x: m(x).square().sum(), torch.eye(3)).value
        6.0

    Raises:
        TypeError, ValueError: as `top_eigenvalues`.
    """
    if isinstance(max_products, bool) or not isinstance(max_products, int) or max_products < 6:
        raise ValueError(f"max_products must be an integer of at least 6, got {shown(max_products)}")
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective:
        with hessian_of(objective, chosen_parameters(objective, parameters)) as hessian:
            with torch.no_grad():
                value, error, products = _hutch_plus_plus(hessian, max_products, generator)
            objective.recheck()
        notes = list(objective.notes)
    if not math.isfinite(value):
        notes.append("a Hessian-vector product is not finite")
    return Trace(value, error, products, mode, tuple(notes))


def _hutch_plus_plus(
    hessian: Hessian, max_products: int, generator: torch.Generator | None
) -> tuple[float, float, int]:
    """Trace, its standard error, and the products used."""
    n, draw = hessian.size, hessian.drawing(generator)
    if max_products >= n:
        unit = torch.zeros_like(draw())
        diagonal = 0.0
        for index in range(n):
            unit.zero_()[index] = 1.0
            diagonal += hessian.times_flat(unit)[index].item()
        return diagonal, 0.0, n
    third = max_products // 3
    sketch = torch.stack([hessian.times_flat(draw().sign()) for _ in range(third)], dim=1)
    if not sketch.isfinite().all():
        return math.nan, math.nan, third
    basis, _ = torch.linalg.qr(sketch)
    large = sum(q.dot(hessian.times_flat(q)).item() for q in basis.T.contiguous())
    rest = []
    for _ in range(third):
        z = draw().sign()
        z -= basis @ (basis.T @ z)
        rest.append(z.dot(hessian.times_flat(z)).item())
    samples = torch.tensor(rest, dtype=torch.float64, device="cpu")
    return large + samples.mean().item(), samples.std().item() / math.sqrt(third), 3 * third
