"""The deep linear network: Figures 3(b), 5(b), 10, 11(b) and 13 of the paper."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.bands import end_where_finite_runs_end, mark_non_finite
from normlab.figures.landscape import landscape_figure
from normlab.figures.style import (
    DLN_LOSS,
    MARKERS,
    PAPER_RATE,
    at_rate,
    color,
    empty_figure,
    label,
    legend,
    not_in_the_grid,
    number,
    order,
    page_figure,
    plain_ticks,
    same,
    say_nothing_to_draw,
)
from normlab.figures.training import is_comparable, plot_published, plot_training

KINDS = ("none", "batch", "l1", "l2", "linf")
RATE = PAPER_RATE["dln"]


def figure_5b(frame: pd.DataFrame, learning_rate: float) -> Figure:
    """Figure 5(b) and 13(a): training loss of the deep linear network; the loss is a sum over the samples.

    The paper's curves lie over ours when the learning rate and the range of steps agree, else in a panel of their own.
    Their absolute scale depends on the drawn target matrix and on an unstated factor ½.
    """
    frame = frame[frame["norm_layer"].isin(KINDS)]
    if frame.empty:
        return empty_figure()
    frame = at_rate(frame, learning_rate)
    if frame.empty:
        return not_in_the_grid(learning_rate)
    overlay = is_comparable(frame, learning_rate, "dln") and bool(same(learning_rate, RATE))
    figure, axes = page_figure(1, 1 if overlay else 2)
    ax = plot_training(frame, axes[0, 0], "loss", log=True, paper_figure=5 if overlay else None)
    ax.set_title(f"learning rate {number(learning_rate)}")
    end_where_finite_runs_end(ax, frame[frame["quantity"] == "loss"])
    if not overlay:
        plot_published(axes[0, 1], 5, "b", "loss", KINDS, (RATE,), log=True, study="dln")
    legend(figure, frame["norm_layer"], paper=True)
    return figure


def figure_10(frame: pd.DataFrame, learning_rate: float, *, eta_min_factor: float) -> Figure:
    """Figure 10: the landscape of the deep linear network, plain and BatchNorm, logarithmic axes."""
    return landscape_figure(frame, learning_rate, ["none", "batch"], paper_figure=10, eta_min_factor=eta_min_factor)


def figure_13(frame: pd.DataFrame, learning_rate: float, *, eta_min_factor: float) -> Figure:
    """Figure 13(b–d): as Figure 10 with all five normalizers; its panel a is Figure 5(b)."""
    return landscape_figure(frame, learning_rate, KINDS, paper_figure=13, panels="bcd", eta_min_factor=eta_min_factor)


def plot_final_loss(table: pd.DataFrame, ax: Axes, *, kinds: Sequence[str] = KINDS) -> Axes:
    """The final loss of every seed, paired seeds joined by a thin line, medians as bars; log axis.

    A seed whose loss is not finite is a triangle on the upper edge.

    Args:
        table: one number a run at one learning rate; columns norm_layer, seed, value.
        ax: the panel.
        kinds: the normalizers, from left to right.
    """
    ax.set_ylabel(f"final {DLN_LOSS}")
    if table.empty:
        return say_nothing_to_draw(ax)
    last = table.pivot(index="seed", columns="norm_layer", values="value")
    shown = [kind for kind in kinds if kind in last.columns]
    finite = last[shown].where(np.isfinite(last[shown]))
    for _, pair in finite.iterrows():
        ax.plot(range(len(shown)), pair, color="#BBBBBB", linewidth=0.7, zorder=1)
    for place, kind in enumerate(shown):
        values = finite[kind].dropna()
        ax.plot(
            [place] * len(values), values, MARKERS.get(kind, "o"), color=color(kind), markersize=5, gid=f"final-{kind}"
        )
        if len(values):
            ax.hlines(values.median(), place - 0.2, place + 0.2, color=color(kind), linewidth=2)
        if len(values) < len(finite):
            mark_non_finite(ax, np.array([place]), kind)
    ax.set_xticks(range(len(shown)), [label(kind) for kind in shown], fontsize=8)
    ax.set_yscale("log", nonpositive="mask")
    return ax


def plot_rates(table: pd.DataFrame, ax: Axes) -> Axes:
    """Final loss (median over seeds) against the learning rate, one line a normalizer; both axes logarithmic.

    Args:
        table: one number a run; columns norm_layer, learning_rate, seed, value.
        ax: the panel.
    """
    ax.set_xlabel("learning rate")
    ax.set_ylabel(f"final {DLN_LOSS}")
    if table.empty:
        return say_nothing_to_draw(ax)
    for kind in order(table["norm_layer"]):
        middle = table[table["norm_layer"] == kind].groupby("learning_rate")["value"].median()
        finite = middle[np.isfinite(middle)]
        ax.plot(
            finite.index,
            finite,
            marker=MARKERS.get(kind, "o"),
            color=color(kind),
            label=label(kind),
            gid=f"rate-{kind}",
        )
        mark_non_finite(ax, middle.index[~np.isfinite(middle)].to_numpy(), kind)
    ax.set_xscale("log")
    plain_ticks(ax, table["learning_rate"].unique())
    ax.set_yscale("log", nonpositive="mask")
    return ax
