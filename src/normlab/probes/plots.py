"""Pictures of probe results on matplotlib axes; matplotlib is imported when one is drawn, and not before.

The results know these functions (`probe.plot(ax)`), and not the other way round.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch

_LARGEST = 1e100  # matplotlib computes with squares and differences of what it draws


def axes(ax: Any) -> Any:
    """The given axes, or those of a new figure.

    Raises:
        ModuleNotFoundError: matplotlib is not installed; the message says what to install.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("plots need matplotlib: pip install matplotlib") from error
    return pyplot.subplots(layout="constrained")[1]


def finite(values: Iterable[float]) -> list[float]:
    """Values with a gap (NaN) where they are not finite: a curve must not connect its ends over a divergence."""
    return [v if abs(v) < _LARGEST else math.nan for v in values]


def plot_landscape(probe: Any, ax: Any) -> Any:
    """Loss over step size, with the base point."""
    ax = axes(ax)
    order = torch.argsort(probe.step_sizes)
    points = [(s, v) for s, v in zip(probe.step_sizes[order].tolist(), probe.losses[order].tolist(), strict=True)]
    points = sorted([*points, (0.0, probe.loss)])
    ax.plot([s for s, _ in points], finite(v for _, v in points), marker=".")
    ax.plot([0.0], [probe.loss], marker="o", color="black")
    for step in [s for s, v in points if not abs(v) < _LARGEST]:
        ax.axvline(step, color="0.7", linestyle=":")
    ax.set(xlabel=f"step size along the {probe.direction} direction", ylabel=f"loss ({probe.mode} mode)")
    return ax


def plot_plane(probe: Any, ax: Any) -> Any:
    """Contours of the loss; points that are not finite are left white."""
    ax = axes(ax)
    losses = probe.losses.double()
    shown = torch.where(losses.abs() < _LARGEST, losses, math.nan).numpy()
    if min(shown.shape) > 1:
        contours = ax.contourf(probe.xs.numpy(), probe.ys.numpy(), shown, levels=20)
        ax.figure.colorbar(contours, ax=ax, label=f"loss ({probe.mode} mode)")
    if probe.trajectory is not None:
        ax.plot(probe.trajectory[:, 0].tolist(), probe.trajectory[:, 1].tolist(), color="white", marker=".")
    ax.plot([0.0], [0.0], marker="o", color="black")
    ax.set(xlabel="multiples of $d_1$", ylabel="multiples of $d_2$")
    return ax


def plot_shift(probe: Any, ax: Any) -> Any:
    """The two measures without a scale as bars, beside their ideals."""
    ax = axes(ax)
    ax.bar(["relative change\n(ideal 0)", "cosine\n(ideal 1)"], finite([probe.relative_l2, probe.cosine]))
    ax.set(ylabel=f"gradient before and after ({probe.mode} mode)")
    return ax


def plot_moments(probe: Any, ax: Any) -> Any:
    """Histograms of the units, one row each; without histograms their means and standard deviations."""
    ax = axes(ax)
    rows = list(range(len(probe.units) + 1))
    centers = [row + 0.5 for row in rows[:-1]]
    if probe.histogram.numel():
        ax.pcolormesh(probe.edges.tolist(), rows, probe.histogram.numpy())
    else:
        ax.errorbar(
            finite(probe.mean.tolist()), centers, xerr=finite(probe.variance.sqrt().tolist()), fmt="o", capsize=3
        )
    ax.set(xlabel=f"output ({probe.mode} mode)", ylabel="unit")
    ax.set_yticks(centers, [str(unit) for unit in probe.units.tolist()])
    return ax


def plot_eigenvalues(probe: Any, ax: Any) -> Any:
    """Eigenvalues in order, with their residuals as error bars."""
    ax = axes(ax)
    index = list(range(1, len(probe.values) + 1))
    ax.errorbar(index, finite(probe.values.tolist()), yerr=finite(probe.residuals.tolist()), fmt="o", capsize=3)
    ax.set(xlabel="number", ylabel=f"eigenvalue of the Hessian ({probe.mode} mode)", xticks=index)
    return ax


def plot_curvature(probe: Any, ax: Any) -> Any:
    """Both measures as bars."""
    ax = axes(ax)
    ax.bar(["gᵀHg / gᵀg", "‖Hg‖ / ‖g‖"], finite([probe.rayleigh, probe.stretch]))
    ax.set(ylabel=f"curvature along the gradient ({probe.mode} mode)")
    return ax


def plot_density(probe: Any, ax: Any) -> Any:
    """The density over the eigenvalue, logarithmic."""
    ax = axes(ax)
    ax.semilogy(probe.grid.tolist(), finite(probe.density.tolist()))
    ax.set(xlabel="eigenvalue of the Hessian", ylabel=f"density ({probe.mode} mode)")
    return ax


def plot_estimate(value: float, error: float, label: str, ax: Any, single: Iterable[float] = ()) -> Any:
    """A value with its standard error, beside what it was averaged from."""
    ax = axes(ax)
    error = error if math.isfinite(error) else 0.0
    ax.errorbar([0], finite([value]), yerr=[error], fmt="o", capsize=3, label="mean and standard error")
    points = finite(single)
    if points:
        ax.plot(range(1, len(points) + 1), points, marker=".", linestyle="", color="0.5", label="each batch")
        ax.legend()
    ax.set(ylabel=label, xticks=[])
    return ax


def plot_over_batches(found: Any, ax: Any) -> Any:
    """Each number of the summary with its spread over the batches; densities as one mean curve above theirs."""
    ax = axes(ax)
    if all(hasattr(one, "density") for one in found.per_batch):
        low, high = (
            end(f(one.grid).item() for one in found.per_batch) for end, f in ((min, torch.min), (max, torch.max))
        )
        grid = torch.linspace(low, high, 1001, dtype=torch.float64)
        densities = torch.stack([one.at(grid) for one in found.per_batch])
        for one in densities:
            ax.semilogy(grid.tolist(), finite(one.tolist()), color="0.8")
        ax.semilogy(grid.tolist(), finite(densities.mean(0).tolist()))
        ax.set(xlabel="eigenvalue of the Hessian", ylabel=f"density, mean of {len(found.per_batch)} batches")
        return ax
    names = list(found.mean)
    spread = [value if math.isfinite(value) else 0.0 for value in found.spread.values()]
    ax.errorbar(range(len(names)), finite(found.mean.values()), yerr=spread, fmt="o", capsize=3)
    ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
    ax.set(ylabel=f"mean and standard deviation over {len(found.per_batch)} batches")
    return ax
