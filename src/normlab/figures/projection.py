"""The projection ablation: by learning rate where training ends, and over training what the landscape is like."""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.absent import empty_figure
from normlab.figures.bands import draw_normalizers
from normlab.figures.final_loss import plot_rates
from normlab.figures.style import legend, number, page_figure
from normlab.figures.training import plot_training

Curves = dict[str, tuple[pd.DataFrame, bool]]


def accuracy_by_rate(frame: pd.DataFrame, ends: pd.DataFrame, rates: list[float], window: int) -> Figure:
    """Train accuracy over the steps at each learning rate, and where it ends by learning rate.

    Args:
        frame: rows of probe `history`.
        ends: final train accuracy; columns norm_layer, learning_rate, seed, value.
        rates: one panel each.
        window: steps of the moving average.
    """
    if not rates:
        return empty_figure("not run here")
    figure, axes = page_figure(1, len(rates) + 1, width=12.0)
    for ax, rate in zip(axes[0], rates, strict=False):
        plot_training(frame[frame["learning_rate"] == rate], ax, "train_accuracy", window=window)
        ax.set_title(f"learning rate {number(rate)}")
        ax.set_ylim(0, 102)
    last = axes[0, -1]
    plot_rates(ends.assign(value=100 * ends["value"]), last).set_title("at the end")
    last.set_ylabel("train accuracy at the end (%)")
    last.set_yscale("linear")
    legend(figure, frame["norm_layer"])
    return figure


def curves_by_rate(curves: Curves, rates: list[float]) -> Figure:
    """One row a quantity, one column a learning rate.

    Args:
        curves: axis label → rows (columns norm_layer, learning_rate, seed, step, value) and whether on a log axis.
        rates: the columns.
    """
    if not rates:
        return empty_figure("not run here")
    figure, axes = page_figure(len(curves), len(rates), height=2.6)
    for row, (name, (frame, log)) in enumerate(curves.items()):
        for ax, rate in zip(axes[row], rates, strict=True):
            draw_normalizers(ax, frame[frame["learning_rate"] == rate], name, log=log)
            ax.set_xscale("symlog", linthresh=1)
            if row == 0:
                ax.set_title(f"learning rate {number(rate)}")
    kinds = pd.concat([frame["norm_layer"].astype(str) for frame, _ in curves.values()])
    legend(figure, kinds)
    return figure
