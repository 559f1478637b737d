"""Artefact checks that the paper did not make: is a level of the effective β the landscape's, or the measurement's?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normlab.figures.bands import draw_band, guide, mark_non_finite, over_seeds
from normlab.figures.style import (
    PAPER_COLOR,
    axis_label,
    color,
    number,
    order,
    plain_ticks,
    same,
    say_nothing_to_draw,
)


def plot_beta_by_step_size(frame: pd.DataFrame, curvature: pd.DataFrame, ax: Axes) -> Axes:
    """β_k = ‖∇f(w−η_k g) − g‖/(η_k ‖g‖) against η_k, median over steps, and its limit for η → 0.

    The limit ‖Hg‖/‖g‖ (quantity `stretch`, by Hessian-vector product) is a short bar at the left edge. The dotted line
    is 1/η: a β that lies on it says only that the gradient changed by its own length.
    """
    rows = frame[(frame["quantity"] == "beta") & frame["step_size"].notna()]
    ax.set_xlabel("step size η")
    ax.set_ylabel(axis_label("beta"))
    if rows.empty:
        return say_nothing_to_draw(ax)
    typical = rows.groupby(["norm_layer", "seed", "step_size"], observed=True)["value"].median().reset_index()
    sizes = np.sort(typical["step_size"].unique())
    left = sizes[0] / max(2.0, (sizes[-1] / sizes[0]) ** 0.2)
    limits = curvature[curvature["quantity"] == "stretch"]
    for kind in order(typical["norm_layer"]):
        draw_band(ax, typical[typical["norm_layer"] == kind], kind, x="step_size")
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
    ax.set_yscale("log", nonpositive="mask")
    named = sizes[:: max(1, -(-len(sizes) // 4))]  # few enough to read in a third of the page
    ax.set_xticks([left, *named], ["→ 0", *(number(size) for size in named)])
    ax.set_xticks([], minor=True)
    return ax


def halved_beta(frame: pd.DataFrame, eta_min_factor: float = 0.5) -> pd.DataFrame:
    """Effective β over the paper's grid with η_min/2 added, divided by that over the grid alone; per step and seed.

    1 means that the smaller step changes nothing; 2 means that β was 1/η_min all along.

    Args:
        frame: rows of probe `landscape`.
        eta_min_factor: the grid's smallest step size in units of the learning rate.
    """
    half = same(frame["step_size"], 0.5 * eta_min_factor * frame["learning_rate"])
    keys = ["norm_layer", "learning_rate", "seed", "step"]
    added = frame[(frame["quantity"] == "beta") & half].set_index(keys)["value"].rename("added")
    grid = frame[(frame["quantity"] == "effective_beta") & frame["step_size"].isna()].set_index(keys)["value"]
    table = grid.to_frame().join(added, how="inner").reset_index()
    table["value"] = np.maximum(table["added"], table["value"]) / table["value"]
    return table.drop(columns="added")


def plot_halved_eta_min(frame: pd.DataFrame, ax: Axes, *, eta_min_factor: float = 0.5) -> Axes:
    """How the effective β changes when half the smallest step joins the grid; 1: no change, 2: an artefact."""
    ax.set_xlabel("training step")
    ax.set_ylabel("effective β, with η_min/2\n÷ paper's grid alone")
    table = halved_beta(frame, eta_min_factor)
    if table.empty:
        return say_nothing_to_draw(ax)
    for kind in order(table["norm_layer"]):
        draw_band(ax, table[table["norm_layer"] == kind], kind)
    guide(ax, 1.0, "no change: smooth at this scale")
    guide(ax, 2.0, "doubles: only 1/η_min")
    ax.set_ylim(0.9, 2.2)
    return ax


def late(frame: pd.DataFrame, quantity: str, share: float = 0.3) -> pd.DataFrame:
    """Median of `quantity` over the last `share` of the probed range, one row a run."""
    rows = frame[(frame["quantity"] == quantity) & frame["step_size"].isna()]
    rows = rows[rows["step"] >= (1 - share) * rows["step"].max()] if len(rows) else rows
    return rows.groupby(["norm_layer", "learning_rate", "seed"], observed=True)["value"].median().reset_index()


def plot_two_over_learning_rate(
    frame: pd.DataFrame, ax: Axes, *, quantity: str = "effective_beta", eta_min_factor: float | None = None
) -> Axes:
    """Late β (median over the last 30 % of the steps) against the learning rate: does a plateau follow 2/learning rate?

    Args:
        frame: rows of probe `landscape` (effective_beta) or `curvature` (stretch) at several learning rates.
        ax: the panel, logarithmic both ways.
        quantity: `effective_beta`, or `stretch` for the limit of small steps.
        eta_min_factor: draw 1/η_min too, the smallest step being this factor times the learning rate.
    """
    table = late(frame, quantity)
    ax.set_xlabel("learning rate")
    ax.set_ylabel("late effective β" if quantity == "effective_beta" else "late ‖Hg‖/‖g‖")
    if table.empty:
        return say_nothing_to_draw(ax)
    for kind in order(table["norm_layer"]):
        draw_band(ax, table[table["norm_layer"] == kind], kind, x="learning_rate")
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
    ax.set_yscale("log", nonpositive="mask")
    return ax


def plot_equal_distance(frame: pd.DataFrame, ax: Axes, quantity: str = "gradient_distance") -> Axes:
    """Gradient change, β or change of the loss after moving the same distance ‖Δw‖ along −g; median over steps.

    Args:
        frame: rows of probe `landscape_equal_distance`; `step_size` holds the distance.
        ax: the panel.
        quantity: `gradient_distance`, `beta`, or `loss` (shown as |loss − loss at the base point|).
    """
    rows = frame[(frame["quantity"] == quantity) & frame["step_size"].notna()]
    ax.set_xlabel("distance moved ‖Δw‖₂")
    names = {"loss": "|change of loss|", "gradient_distance": "gradient change ‖Δg‖₂", "beta": "‖Δg‖₂/‖Δw‖₂"}
    ax.set_ylabel(f"{names[quantity]},\nmedian over steps")
    if rows.empty:
        return say_nothing_to_draw(ax)
    if quantity == "loss":
        base = frame[(frame["quantity"] == "loss") & frame["step_size"].isna()]
        keys = ["norm_layer", "learning_rate", "seed", "step"]
        rows = rows.merge(base[[*keys, "value"]], on=keys, suffixes=("", "_base"))
        rows = rows.assign(value=(rows["value"] - rows["value_base"]).abs())
    typical = rows.groupby(["norm_layer", "seed", "step_size"], observed=True)["value"].median().reset_index()
    for kind in order(typical["norm_layer"]):
        draw_band(ax, typical[typical["norm_layer"] == kind], kind, x="step_size")
    ax.set_xscale("log")
    plain_ticks(ax, typical["step_size"].unique())
    ax.set_yscale("log", nonpositive="mask")
    return ax


def plot_edge_of_stability(frame: pd.DataFrame, ax: Axes, quantity: str) -> Axes:
    """Sharpness or directional curvature times learning rate / 2: 1 is the edge of stability of gradient descent."""
    rows = frame[frame["quantity"] == quantity]
    names = {"top_eigenvalue": "λ_max", "rayleigh": "gᵀHg/‖g‖²", "stretch": "‖Hg‖/‖g‖"}
    ax.set_xlabel("training step")
    ax.set_ylabel(f"{names.get(quantity, quantity)} · learning rate / 2")
    if rows.empty:
        return say_nothing_to_draw(ax)
    scaled = rows.assign(value=rows["value"] * rows["learning_rate"] / 2)
    for kind in order(scaled["norm_layer"]):
        draw_band(ax, scaled[scaled["norm_layer"] == kind], kind)
    guide(ax, 1.0, "edge of stability")
    return ax


def plot_direction_ratio(
    frame: pd.DataFrame, random: pd.DataFrame, ax: Axes, quantity: str = "gradient_distance_high"
) -> Axes:
    """The upper edge of the band along the gradient (solid) and along random directions of the same length (dashed)."""
    ax.set_xlabel("training step")
    ax.set_ylabel(f"upper edge: {axis_label(quantity.removesuffix('_high'))}")
    rows = frame[(frame["quantity"] == quantity) & frame["step_size"].isna()]
    other = random[(random["quantity"] == quantity) & random["step_size"].isna()]
    if rows.empty or other.empty:
        return say_nothing_to_draw(ax)
    for kind in order(rows["norm_layer"]):
        draw_band(ax, rows[rows["norm_layer"] == kind], kind)
        line = over_seeds(other[other["norm_layer"] == kind])
        ax.plot(line["step"], line["center"], color=color(kind), linestyle="--", linewidth=1.4, gid=f"random-{kind}")
        mark_non_finite(ax, line.loc[line["non_finite"] > 0, "step"].to_numpy(), kind)
    ax.set_yscale("log", nonpositive="mask")
    return ax


def plot_by_step(frame: pd.DataFrame, ax: Axes, quantity: str) -> Axes:
    """A summary of the walk at each probed step, one line a normalizer, band over seeds; logarithmic axis."""
    rows = frame[(frame["quantity"] == quantity) & frame["step_size"].isna()]
    ax.set_xlabel("training step of the checkpoint")
    ax.set_ylabel(axis_label(quantity.removesuffix("_high")))
    if rows.empty:
        return say_nothing_to_draw(ax)
    for kind in order(rows["norm_layer"]):
        draw_band(ax, rows[rows["norm_layer"] == kind], kind)
    ax.set_yscale("log", nonpositive="mask")
    return ax


def direction_handles() -> list[Line2D]:
    """Legend entries that tell the walk along the gradient from that along random directions."""
    return [
        Line2D([], [], color=PAPER_COLOR, linewidth=1.6, label="along −g"),
        Line2D([], [], color=PAPER_COLOR, linewidth=1.4, linestyle="--", label="random direction, same length"),
    ]
