"""The deep linear network: Figures 3(b), 5(b), 10, 11(b) and 13 of the paper."""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.absent import empty_figure
from normlab.figures.bands import end_where_finite_runs_end
from normlab.figures.landscape import landscape_figure
from normlab.figures.style import LP, legend, number, page_figure, same, shown
from normlab.figures.training import is_comparable, plot_paper_curves, plot_training
from normlab.paper.rows import LEARNING_RATE

KINDS = ("none", "batch", *LP)
RATE = LEARNING_RATE["dln"]


def figure_5b(frame: pd.DataFrame, learning_rate: float) -> Figure:
    """Figure 5(b) and 13(a): training loss of the deep linear network; the loss is a sum over the samples.

    The paper's curves lie over ours when the learning rate and the range of steps agree, else in a panel of their own.
    Their absolute scale depends on the drawn target matrix and on an unstated factor ½.
    """
    frame, missing = shown(frame, KINDS, learning_rate)
    if missing:
        return empty_figure(missing)
    overlay = is_comparable(frame, learning_rate) and bool(same(learning_rate, RATE))
    figure, axes = page_figure(1, 1 if overlay else 2)
    ax = plot_training(frame, axes[0, 0], "loss", log=True, paper_figure=5 if overlay else None)
    ax.set_title(f"learning rate {number(learning_rate)}")
    end_where_finite_runs_end(ax, frame[frame["quantity"] == "loss"])
    if not overlay:
        plot_paper_curves(axes[0, 1], 5, "b", "loss", KINDS, (RATE,), log=True, study="dln")
    legend(figure, frame["norm_layer"], paper=True)
    return figure


def figure_10(frame: pd.DataFrame, learning_rate: float, *, eta_min_factor: float) -> Figure:
    """Figure 10: the landscape of the deep linear network, plain and BatchNorm, logarithmic axes."""
    return landscape_figure(frame, learning_rate, ["none", "batch"], paper_figure=10, eta_min_factor=eta_min_factor)


def figure_13(frame: pd.DataFrame, learning_rate: float, *, eta_min_factor: float) -> Figure:
    """Figure 13(b–d): as Figure 10 with all five normalizers; its panel a is Figure 5(b)."""
    return landscape_figure(
        frame, learning_rate, KINDS, paper_figure=13, panels="bcd", eta_min_factor=eta_min_factor, about=LP
    )
