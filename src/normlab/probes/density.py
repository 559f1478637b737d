"""The density of the Hessian's eigenvalues, by Lanczos quadrature."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.batches import takes_batches
from normlab.probes.directions import checked_coordinates
from normlab.probes.entry import objective_at
from normlab.probes.hessian import check_hessian, chosen_parameters, hessian_of
from normlab.probes.lanczos import quadrature
from normlab.probes.objective import Batch, LossFn
from normlab.probes.vectors import shown


@dataclass(frozen=True)
class SpectralDensity:
    """How the Hessian's eigenvalues are distributed, smoothed.

    Attributes:
        grid: (G,) eigenvalues, float64.
        density: (G,) mean over V start vectors of Σ_i τ_i² N(λ; θ_i, width²); its integral over the grid is 1.
        nodes: V tensors (m,), the quadrature's θ_i.
        weights: V tensors (m,), its τ_i².
        width: standard deviation of the smoothing.
        products: number of Hessian-vector products used.
        mode: "train" or "eval".
        notes: reasons of undefined values and remarks.
        zero: a node nearer to 0 than this is 0 but for rounding: 100 ε of the model's floating type times the largest
            |θ|. The zero eigenvalues of a positive semidefinite Hessian come out on either side (seen: within 1 ε).
    """

    grid: Tensor
    density: Tensor
    nodes: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    width: float
    products: int
    mode: str
    notes: tuple[str, ...] = ()
    zero: float = 0.0

    def at(self, values: Tensor | Sequence[float]) -> Tensor:
        """The density at any eigenvalues (G,), so that those of several batches can be compared and averaged.

        Raises:
            TypeError: not a sequence of numbers.
            ValueError: values that are no finite real numbers, or a tensor of more than one dimension.
        """
        if not (isinstance(values, Tensor) and values.is_floating_point()):
            values = torch.tensor(checked_coordinates(values, "values"), dtype=torch.float64, device="cpu")
        if values.ndim != 1:
            raise ValueError(f"values must be of one dimension (G,), got shape {tuple(values.shape)}")
        return _smoothed(values, self.nodes, self.weights, self.width)

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs: mean eigenvalue, smallest and largest node, share of those below −`zero`."""
        pairs = list(zip(self.nodes, self.weights, strict=True))
        mean = sum((w * n).sum().item() for n, w in pairs) / len(pairs)
        ends = min(n.min().item() for n in self.nodes), max(n.max().item() for n in self.nodes)
        negative = sum(w[n < -self.zero].sum().item() for n, w in pairs) / len(pairs)
        return {"mean": mean, "low": ends[0], "high": ends[1], "negative_share": negative}

    def plot(self, ax: Any = None) -> Any:
        """The density, logarithmic, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_density

        return plot_density(self, ax)


@takes_batches
def spectral_density(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    *,
    vectors: int = 4,
    steps: int = 30,
    points: int = 1001,
    width: float | None = None,
    mode: str = "train",
    generator: torch.Generator | None = None,
    parameters: str | Sequence[str] | None = None,
    hessian: str = "each",
    also: Sequence[nn.Module] = (),
) -> SpectralDensity:
    """The density of the Hessian's eigenvalues, by stochastic Lanczos quadrature (Ghorbani et al. 2019).

        φ(λ) = (1/n) Σ_i N(λ; λ_i, width²) ≈ mean over V vectors of Σ_j τ_j² N(λ; θ_j, width²)

    with nodes θ and weights τ² of `steps` Lanczos steps from a vector of random signs. The density integrates to 1 over
    the grid: an eigenvalue alone among n has the weight 1/n, so look at it on a logarithmic axis.

    The ends of the spectrum are the outermost nodes (`scalars()`), exact after few steps. No quantile of the density
    tells them: a vector v gives a lone eigenvalue with the unit eigenvector u the weight (vᵀu)²/n, which is 1/n on
    average only, with a standard deviation of about √(2/V)/n over V vectors: 70 % for four. More vectors mend that;
    more steps or another width do not.

    Cost: one forward pass, one backward pass with a graph, V·steps backward passes through both, and one forward.

    Args:
        model: any module.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; or `batches=`, as in `landscape`.
        vectors: V, how many random start vectors are averaged.
        steps: Lanczos steps from each.
        points: G, size of the grid.
        width: standard deviation of the smoothing; by default a hundredth of the spectrum's range.
        mode: "train" (batch statistics; default) or "eval".
        generator: source of the random vectors, by default torch's global CPU state, which is not consumed.
        parameters: a pattern of names ("features.*") or several: the density of that diagonal block.
        hessian: with `batches=`, "each" or "mean", as in `top_eigenvalues`.
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Example:
        >>> import torch
        >>> from normlab.probes import spectral_density
        >>> model = torch.nn.Linear(3, 1, bias=False)
        >>> found = spectral_density(model, lambda m, x: m(x).square().sum(), torch.diag(torch.arange(3.0)))
        >>> round(torch.trapezoid(found.density, found.grid).item(), 6)
        1.0

    Raises:
        TypeError, ValueError: as `top_eigenvalues`.
    """
    for name, number, least in (("vectors", vectors, 1), ("steps", steps, 1), ("points", points, 2)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {shown(number)}")
    if width is not None and not (isinstance(width, int | float) and 0 < width < math.inf):
        raise ValueError(f"width must be a positive number, got {shown(width)}")
    check_hessian(hessian, batch)
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective:
        with hessian_of(objective, chosen_parameters(objective, parameters)) as operator:
            draw = operator.drawing(generator)
            with torch.no_grad():
                # of random signs, not Gaussian: then the mean eigenvalue has no error from the diagonal
                found = [quadrature(operator.times_flat, draw().sign(), steps) for _ in range(vectors)]
            objective.recheck()
        notes, eps = list(objective.notes), torch.finfo(objective.dtype).eps
    nodes, weights = tuple(n for n, _ in found), tuple(w for _, w in found)
    if not all(bool(n.isfinite().all()) for n in nodes):
        notes.append("a Hessian-vector product is not finite: the density is undefined")
    grid, width = _grid(nodes, points, width)
    return SpectralDensity(
        grid=grid,
        density=_smoothed(grid, nodes, weights, width),
        nodes=nodes,
        weights=weights,
        width=width,
        products=sum(map(len, nodes)),
        mode=mode,
        notes=tuple(notes),
        zero=100 * eps * max(n.abs().max().item() for n in nodes),
    )


def _grid(nodes: Sequence[Tensor], points: int, width: float | None) -> tuple[Tensor, float]:
    """Grid over all nodes, and the width of the smoothing."""
    everything = torch.cat(list(nodes))
    low, high = everything.min().item(), everything.max().item()
    if width is None:
        width = 1e-2 * (high - low) or 1e-2 * max(abs(low), 1.0)
    margin = 6 * width  # what of a Gaussian lies farther out is below 1e-8
    return torch.linspace(low - margin, high + margin, points, dtype=torch.float64, device="cpu"), width


def _smoothed(grid: Tensor, nodes: Sequence[Tensor], weights: Sequence[Tensor], width: float) -> Tensor:
    density = torch.zeros_like(grid)
    for node, weight in zip(nodes, weights, strict=True):
        bumps = torch.exp(-0.5 * ((grid[:, None] - node) / width).square()) / (width * math.sqrt(2 * math.pi))
        density += bumps @ weight / len(nodes)
    return density
