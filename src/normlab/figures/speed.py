"""How fast a run learns: steps to an accuracy, usable learning rates, and whether early smoothness goes with speed."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.absent import say_nothing_to_draw
from normlab.figures.bands import draw_normalizers, draw_seeds, mark_non_finite
from normlab.figures.style import MARKERS, color, label, legend, order, page_figure, plain_ticks


def plot_steps_to_accuracy(tables: Mapping[str, pd.DataFrame], ax: Axes) -> Axes:
    """Steps until the train accuracy reaches each threshold: one marker a seed, the median as a bar.

    Runs that never reach it (inf) are triangles on the upper edge, with their number.

    Args:
        tables: by the threshold's name, one number a run; columns norm_layer, seed, value.
        ax: the panel.
    """
    for place, (name, table) in enumerate(tables.items()):
        kinds = order(table["norm_layer"])
        for shift, kind in enumerate(kinds):
            values = table.loc[table["norm_layer"] == kind, "value"].to_numpy()
            x = place + (shift - (len(kinds) - 1) / 2) * 0.8 / len(kinds)
            draw_seeds(ax, x, values, kind, f"seeds-{kind}-{name}")
    ax.set_xticks(range(len(tables)), list(tables))
    ax.set_xlabel("train accuracy to reach")
    ax.set_ylabel("training steps")
    return ax


def plot_learning_rate_scan(table: pd.DataFrame, ax: Axes, ylabel: str) -> Axes:
    """An accuracy, one number a run in [0, 1], against the learning rate; one line a normalizer, in percent."""
    if draw_normalizers(ax, table, ylabel, x="learning_rate", xlabel="learning rate", factor=100):
        ax.set_xscale("log")
        plain_ticks(ax, table["learning_rate"].unique())
    return ax


def learning_rates_figure(table: pd.DataFrame, ylabel: str, alive: float) -> Figure:
    """`plot_learning_rate_scan` as a figure of its own, with a dotted line at the accuracy above which it trains."""
    figure, axes = page_figure(1, 1, width=7.0)
    ax = plot_learning_rate_scan(table, axes[0, 0], ylabel)
    if len(table):
        ax.set_ylim(0, 100)
        ax.axhline(100 * alive, color="#777777", linewidth=0.8, linestyle=":", gid="alive")
        legend(figure, table["norm_layer"])
    return figure


def plot_smoothness_against_speed(table: pd.DataFrame, ax: Axes) -> Axes:
    """Each cell of a table of `normlab.analysis.rates.smoothness_and_speed`; those that never get there on the edge."""
    ax.set_xlabel("early effective β at step sizes ≤ learning rate\n(1/step size)")
    ax.set_ylabel("steps to the train accuracy")
    if table.empty:
        return say_nothing_to_draw(ax)
    for kind in order(table["norm_layer"]):
        mine = table[table["norm_layer"] == kind]
        there = mine[np.isfinite(mine["steps"])]
        ax.plot(
            there["smoothness"],
            there["steps"],
            MARKERS.get(kind, "o"),
            color=color(kind),
            label=label(kind),
            gid=f"cells-{kind}",
        )
        mark_non_finite(ax, mine.loc[~np.isfinite(mine["steps"]), "smoothness"].to_numpy(), kind)
    ax.set_xscale("log")
    return ax
