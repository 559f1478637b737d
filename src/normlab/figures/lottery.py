"""Distributions over many seeds: of the final loss and of the peak of the effective β."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter

from normlab.figures.absent import empty_figure
from normlab.figures.style import DLN_LOSS, color, label, legend, order, page_figure


def distribution(table: pd.DataFrame, ax: Axes, xlabel: str, paper: dict[str, float]) -> Axes:
    """Share of seeds at or below each value, one step curve a normalizer; dashed verticals: the paper's one run.

    Values that are not finite are beyond the right end: the curve stops below 1 by their share.

    Args:
        table: columns norm_layer, seed, value.
        ax: the panel.
        xlabel: of the logarithmic axis.
        paper: the paper's number by normalizer.
    """
    for kind in order(table["norm_layer"]):
        values = np.sort(table.loc[table["norm_layer"] == kind, "value"].dropna().to_numpy())
        finite = values[np.isfinite(values)]
        shares = np.arange(1, len(finite) + 1) / max(len(values), 1)
        ax.step(finite, shares, where="post", color=color(kind), label=label(kind), gid=f"share-{kind}")
        if kind in paper:
            ax.axvline(paper[kind], color=color(kind), linestyle=(0, (4, 2)), linewidth=1, gid=f"paper-{kind}")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    # within a decade or two matplotlib names every smaller tick, one over the other
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    ax.xaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(xlabel)
    ax.set_ylabel("share of seeds")
    ax.set_ylim(0, 1.02)
    return ax


def lottery_figure(
    losses: pd.DataFrame, peaks: pd.DataFrame, paper: tuple[dict[str, float], dict[str, float]]
) -> Figure:
    """Final loss (left) and peak of the effective β (right) over seeds; the paper's numbers by normalizer."""
    if losses.empty:
        return empty_figure("not run here; the preset lottery draws the many seeds")
    figure, axes = page_figure(1, 2, height=3.4)
    distribution(losses, axes[0, 0], f"final {DLN_LOSS}", paper[0])
    distribution(peaks, axes[0, 1], "peak of the effective β (1/step size)", paper[1])
    legend(figure, losses["norm_layer"], paper=True)
    return figure
