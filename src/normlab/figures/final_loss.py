"""Where deep linear runs end: the final loss of every seed, and by learning rate."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from normlab.figures.absent import say_nothing_to_draw
from normlab.figures.bands import draw_seeds, mark_non_finite
from normlab.figures.deep_linear import KINDS
from normlab.figures.style import DLN_LOSS, MARKERS, color, label, order, plain_ticks


def plot_final_loss(table: pd.DataFrame, ax: Axes, *, kinds: Sequence[str] = KINDS) -> Axes:
    """The final loss of every seed, paired seeds joined by a thin line, medians as bars; log axis.

    Seeds whose loss is not finite are a triangle on the upper edge with their number, and count in the median.

    Args:
        table: one number a run at one learning rate; columns norm_layer, seed, value.
        ax: the panel.
        kinds: the normalizers, from left to right.
    """
    ax.set_ylabel(f"final {DLN_LOSS}")
    if table.empty:
        return say_nothing_to_draw(ax)
    last = table.pivot(index="seed", columns="norm_layer", values="value")
    present = [kind for kind in kinds if kind in last.columns]
    for _, pair in last[present].where(np.isfinite(last[present])).iterrows():
        ax.plot(range(len(present)), pair, color="#BBBBBB", linewidth=0.7, zorder=1)
    for place, kind in enumerate(present):
        draw_seeds(ax, place, last[kind].to_numpy(), kind, f"final-{kind}", width=0.4)
    ax.set_xticks(range(len(present)), [label(kind) for kind in present], fontsize=8)
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
