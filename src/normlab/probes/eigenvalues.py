"""The ends of the Hessian's spectrum: its largest and smallest eigenvalues, by Lanczos."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.batches import takes_batches
from normlab.probes.entry import objective_at
from normlab.probes.hessian import check_hessian, chosen_parameters, hessian_of
from normlab.probes.lanczos import largest_eigenvalues
from normlab.probes.objective import Batch, LossFn
from normlab.probes.vectors import flatten, is_finite_real, real_size, shown


@dataclass(frozen=True)
class Eigenvalues:
    """The k largest eigenvalues of the Hessian, or the smallest; the largest is the *sharpness*.

    Attributes:
        values: (k,) largest algebraic first (or smallest first), in the model's floating type.
        residuals: (k,) ‖Hv − θv‖₂ for the unit Ritz vector v: some eigenvalue lies within this distance of θ.
        converged: whether every residual is at most tol·|θ|.
        products: number of Hessian-vector products used.
        mode: "train" or "eval".
        notes: reasons of undefined values and remarks.
        gradient_share: ‖Pg‖²/‖g‖² with P the projection on the k vectors: how much of the gradient lies in their space.
    """

    values: Tensor
    residuals: Tensor
    converged: bool
    products: int
    mode: str
    notes: tuple[str, ...] = ()
    gradient_share: float = math.nan

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs: `values/0` is the largest."""
        named = {f"values/{i}": value for i, value in enumerate(self.values.tolist())}
        named |= {f"residuals/{i}": value for i, value in enumerate(self.residuals.tolist())}
        named["gradient_share"] = self.gradient_share
        return named | {"converged": float(self.converged), "products": float(self.products)}

    def plot(self, ax: Any = None) -> Any:
        """Eigenvalues with their residuals, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_eigenvalues

        return plot_eigenvalues(self, ax)


@takes_batches
def top_eigenvalues(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    k: int = 1,
    *,
    mode: str = "train",
    generator: torch.Generator | None = None,
    tol: float = 1e-3,
    max_products: int = 100,
    which: str = "largest",
    parameters: str | Sequence[str] | None = None,
    hessian: str = "each",
    also: Sequence[nn.Module] = (),
) -> Eigenvalues:
    """The k largest (or smallest) eigenvalues of H = ∇²L(w); for k = 1 the sharpness.

        H v_i = λ_i v_i        λ_1 ≥ λ_2 ≥ … ≥ λ_k

    by Lanczos with full reorthogonalization on double-backward products. Unused parameters contribute eigenvalues of
    zero. The eigenvalue itself is usually far more accurate than its residual (its error is quadratic in it). For k > 1
    repeated eigenvalues are looked for with further random vectors, at twice the products or more.

    Cost: one forward pass, one backward pass with a graph, and one backward pass through both a product; memory for
    that graph and for one vector like the parameters a product.

    Args:
        model: any module.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; or `batches=`, as in `landscape`.
        k: how many; between 1 and the number n of trainable parameters (elements).
        mode: "train" (batch statistics; default) or "eval".
        generator: source of the random start vectors (to the first one the gradient is added), by default torch's
            global CPU state, which is not consumed.
        tol: relative tolerance: converged means ‖Hv − θv‖₂ ≤ tol·|θ| for all k.
        max_products: limit on the Hessian-vector products; at least k.
        which: "largest" (algebraic), or "smallest": the most negative first.
        parameters: a pattern of names ("features.*") or several: eigenvalues of that diagonal block, all others held.
        hessian: with `batches=`, "each" measures every batch's own Hessian (mean, spread, per batch); "mean" the one
            Hessian H̄ = (1/B) Σ_b ∇²L_b, each batch with its own statistics: without normalizers that couple a batch,
            and for batches of one size, that of the loss on all their samples. Each of its products costs one forward
            and one backward pass a batch more, and the memory is that of one batch's graph.
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Example:
        >>> import torch
        >>> from normlab.probes import top_eigenvalues
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> found = top_eigenvalues(model, lambda m, x: m(x).square().sum(), torch.diag(torch.tensor([1.0, 2.0])), k=2)
        >>> [round(value, 4) for value in found.values.tolist()]
        [8.0, 2.0]

    Raises:
        TypeError: a bfloat16 or half model.
        ValueError: k, tol or max_products out of range, and what `landscape` refuses.
        RuntimeError: torch has no second derivative of some layer (the message of torch says which), or a custom
            `torch.autograd.Function` has a wrong one: its backward pass takes for constant what depends on its input.
    """
    for name, value in (("k", k), ("max_products", max_products)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if which not in ("largest", "smallest"):
        raise ValueError(f"which must be 'largest' or 'smallest', got {which!r}")
    check_hessian(hessian, batch)
    sign = 1 if which == "largest" else -1
    if not is_finite_real(tol) or tol < 0:
        raise ValueError(f"tol must be a finite number of at least 0, got {shown(tol)}")
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective:
        block = chosen_parameters(objective, parameters)
        n = sum(map(real_size, block))
        if not 1 <= k <= n:
            raise ValueError(f"k must be between 1 and {n}, the number of trainable parameters, got {k}")
        if max_products < k:
            raise ValueError(f"max_products must be at least k = {k}, got {max_products}")
        with hessian_of(objective, block) as operator:
            draw = operator.drawing(generator)
            with torch.no_grad():
                found = largest_eigenvalues(
                    lambda v: operator.times_flat(v).mul_(sign),
                    operator.start(draw()),
                    draw,
                    k,
                    tol,
                    max_products,
                    flatten(operator.gradient),
                )
            objective.recheck()
        notes = (*found.notes, *objective.notes)
        return Eigenvalues(
            values=torch.tensor(found.values, dtype=objective.dtype, device="cpu") * sign,
            residuals=torch.tensor(found.residuals, dtype=objective.dtype, device="cpu"),
            converged=found.converged,
            products=found.products,
            mode=mode,
            notes=notes,
            gradient_share=found.share,
        )
