"""Panels and figures without anything to draw: they say so in words."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.style import NOT_MEASURED, page_figure

NOTHING = "nothing"  # of the text in a panel without anything drawn


def say_nothing_to_draw(ax: Axes, message: str = NOT_MEASURED) -> Axes:
    """An empty panel that says so."""
    ax.text(
        0.5,
        0.5,
        message,
        transform=ax.transAxes,
        ha="center",
        va="center",
        fontsize=10,
        color="#666666",
        wrap=True,
        gid=NOTHING,
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)  # words, not an empty box
    return ax


def nothing_drawn(figure: Figure) -> str:
    """Why nothing is drawn in any panel of a figure; empty where something is."""
    said = [_said(ax) for ax in figure.axes]
    return "; ".join(dict.fromkeys(said)) if all(said) else ""


def hide_empty_panels(figure: Figure) -> str:
    """Hide the panels that have a title and nothing drawn, and say which and why: words below the figure, no boxes.

    A panel without a title is no promise; its own words stay, such as "not in the paper" in a column of the paper's.

    Returns:
        "Not drawn: <title> (<reason>), …."; empty where nothing is hidden.
    """
    absent = []
    for ax in figure.axes:
        title = " ".join(ax.get_title().split())
        if title and (reason := _said(ax)):
            ax.set_visible(False)
            absent.append(f"{title} ({reason})")
    if absent:
        _close_up(figure)
    return f"Not drawn: {'; '.join(absent)}." if absent else ""


def _close_up(figure: Figure) -> None:
    """Give the width of columns in which every panel is hidden to the others."""
    placed = [(ax, spec) for ax in figure.axes if (spec := ax.get_subplotspec()) is not None]
    for grid in dict.fromkeys(spec.get_gridspec() for _, spec in placed):
        shown = [spec for ax, spec in placed if ax.get_visible() and spec.get_gridspec() is grid]
        used = {column for spec in shown for column in spec.colspan}
        ratios = np.asarray(grid.get_width_ratios(), dtype=float)
        if used:
            kept = np.isin(np.arange(len(ratios)), sorted(used))
            grid.set_width_ratios(np.where(kept, ratios, ratios.max() / 1000).tolist())


def _said(ax: Axes) -> str:
    return "; ".join(text.get_text() for text in ax.texts if text.get_gid() == NOTHING)


def empty_figure(message: str = NOT_MEASURED) -> Figure:
    """A small figure that says why there is nothing to see."""
    figure, axes = page_figure(1, 1, height=1.2)
    say_nothing_to_draw(axes[0, 0], message)
    return figure
