"""Artefact checks that the paper did not make: is a level of the effective β the landscape's, or the measurement's?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normlab.figures.absent import say_nothing_to_draw
from normlab.figures.bands import draw_normalizers, guide, mark_non_finite, over_seeds
from normlab.figures.landscape import at_step
from normlab.figures.style import PAPER_COLOR, axis_label, color, number, order, plain_ticks, same


def plot_beta_by_step_size(betas: pd.DataFrame, limits: pd.DataFrame, ax: Axes) -> Axes:
    """β_k = ‖∇f(w−η_k g) − g‖/(η_k ‖g‖) against η_k, and its limit for η → 0.

    The limit ‖Hg‖/‖g‖ (by Hessian-vector product; median over seeds) is a short bar at the left edge. The dotted line
    is 1/η: a β that lies on it says only that the gradient changed by its own length.

    Args:
        betas: one number a run and step size; columns norm_layer, seed, step_size, value.
        limits: one number a run; columns norm_layer, seed, value.
        ax: the panel, logarithmic both ways.
    """
    kinds = draw_normalizers(ax, betas, axis_label("beta"), x="step_size", xlabel="step size η", log=True)
    if not kinds:
        return ax
    sizes = np.sort(betas["step_size"].unique())
    left = sizes[0] / max(2.0, (sizes[-1] / sizes[0]) ** 0.2)
    for kind in kinds:
        limit = limits.loc[(limits["norm_layer"] == kind) & np.isfinite(limits["value"]), "value"]
        if len(limit):
            ax.plot(
                [left * 0.85, left * 1.15], [limit.median()] * 2, color=color(kind), linewidth=3, gid=f"limit-{kind}"
            )
    ax.plot(sizes, 1 / sizes, color=PAPER_COLOR, linestyle=":", linewidth=1, gid="one-over-eta")
    ax.annotate(
        "1/η", (sizes[-1], 1 / sizes[-1]), fontsize=8, color=PAPER_COLOR, xytext=(2, 2), textcoords="offset points"
    )
    ax.set_xscale("log")
    named = sizes[:: max(1, -(-len(sizes) // 4))]  # few enough to read in a third of the page
    ax.set_xticks([left, *named], ["→ 0", *(number(size) for size in named)])
    ax.set_xticks([], minor=True)
    return ax


def plot_halved_eta_min(table: pd.DataFrame, ax: Axes) -> Axes:
    """How the effective β changes when half the smallest step joins the grid; 1: no change, 2: an artefact.

    Args:
        table: the change of every run and step; columns norm_layer, seed, step, value.
        ax: the panel.
    """
    if draw_normalizers(ax, table, "effective β, with η_min/2\n÷ paper's grid alone"):
        guide(ax, 1.0, "no change: smooth at this scale")
        guide(ax, 2.0, "doubles: only 1/η_min")
        ax.set_ylim(0.9, 2.2)
    return ax


def plot_two_over_learning_rate(
    table: pd.DataFrame, ax: Axes, ylabel: str, *, eta_min_factor: float | None = None
) -> Axes:
    """A late level of β against the learning rate: does a plateau follow 2/learning rate?

    Args:
        table: one number a run, at several rates; columns norm_layer, learning_rate, seed, value.
        ax: the panel, logarithmic both ways.
        ylabel: what the level is of.
        eta_min_factor: draw 1/η_min too, the smallest step being this factor times the learning rate.
    """
    if not draw_normalizers(ax, table, ylabel, x="learning_rate", xlabel="learning rate", log=True):
        return ax
    rates = np.sort(table["learning_rate"].unique())
    span = np.geomspace(rates[0] / 1.5, rates[-1] * 1.5, 20)
    ax.plot(span, 2 / span, color=PAPER_COLOR, linestyle=":", linewidth=1, gid="two-over-rate")
    ax.annotate("2/learning rate", (span[0], 2 / span[0]), fontsize=8, color=PAPER_COLOR)
    if eta_min_factor is not None and not same(eta_min_factor, 0.5):
        ax.plot(
            span, 1 / (eta_min_factor * span), color=PAPER_COLOR, linestyle="-.", linewidth=1, gid="one-over-eta-min"
        )
        ax.annotate("1/η_min", (span[0], 1 / (eta_min_factor * span[0])), fontsize=8, color=PAPER_COLOR)
    ax.set_xscale("log")
    plain_ticks(ax, rates.tolist())
    return ax


def plot_equal_distance(table: pd.DataFrame, ax: Axes, quantity: str) -> Axes:
    """Gradient change, β or change of the loss after moving the same distance ‖Δw‖ along −g.

    Args:
        table: one number a run and distance; columns norm_layer, seed, step_size (the distance), value.
        ax: the panel, logarithmic both ways.
        quantity: `gradient_distance`, `beta` or `loss_change`, for the label.
    """
    names = {"loss_change": "|change of loss|", "gradient_distance": "gradient change ‖Δg‖₂", "beta": "‖Δg‖₂/‖Δw‖₂"}
    ylabel = f"{names[quantity]},\nmedian over steps"
    if draw_normalizers(ax, table, ylabel, x="step_size", xlabel="distance moved ‖Δw‖₂", log=True):
        ax.set_xscale("log")
        plain_ticks(ax, table["step_size"].unique())
    return ax


def plot_edge_of_stability(frame: pd.DataFrame, ax: Axes, quantity: str) -> Axes:
    """Sharpness or directional curvature times learning rate / 2: 1 is the edge of stability of gradient descent."""
    names = {"top_eigenvalue": "λ_max", "rayleigh": "gᵀHg/‖g‖²", "stretch": "‖Hg‖/‖g‖"}
    rows = frame[frame["quantity"] == quantity]
    scaled = rows.assign(value=rows["value"] * rows["learning_rate"] / 2)
    if draw_normalizers(ax, scaled, f"{names[quantity]} · learning rate / 2"):
        guide(ax, 1.0, "edge of stability")
    return ax


def plot_direction_ratio(
    frame: pd.DataFrame, random: pd.DataFrame, ax: Axes, quantity: str = "gradient_distance_high"
) -> Axes:
    """The upper edge of the band along the gradient (solid) and along random directions of the same length (dashed)."""
    rows, other = (at_step(walk)[lambda walk: walk["quantity"] == quantity] for walk in (frame, random))
    if rows.empty or other.empty:
        return say_nothing_to_draw(ax)
    draw_normalizers(ax, rows, f"upper edge: {axis_label(quantity.removesuffix('_high'))}", log=True)
    for kind in order(rows["norm_layer"]):
        line = over_seeds(other[other["norm_layer"] == kind])
        ax.plot(line["step"], line["center"], color=color(kind), linestyle="--", linewidth=1.4, gid=f"random-{kind}")
        mark_non_finite(ax, line.loc[line["non_finite"] > 0, "step"].to_numpy(), kind)
    return ax


def direction_handles() -> list[Line2D]:
    """Legend entries that tell the walk along the gradient from that along random directions."""
    return [
        Line2D([], [], color=PAPER_COLOR, linewidth=1.6, label="along −g"),
        Line2D([], [], color=PAPER_COLOR, linewidth=1.4, linestyle="--", label="random direction, same length"),
    ]
