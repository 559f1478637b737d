"""Training curves: Figures 1(a, b), 2 (left), 5 of the paper, steps to accuracy, and the learning-rate scan."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.absent import empty_figure
from normlab.figures.bands import (
    draw_normalizers,
    overlay_paper_curve,
    paper_title,
)
from normlab.figures.style import LP, axis_label, lacking, legend, number, page_figure, same, scale
from normlab.paper.rows import LEARNING_RATE, STEPS

PAPER_RATES = {"vgg": (0.01, 0.1, 0.5), "dln": (1e-7, 1e-6)}  # of all its curves
PAPER_SECOND_RATE = 0.5  # of its Figure 1, where the plain network does not train


def plot_training(
    frame: pd.DataFrame,
    ax: Axes,
    quantity: str,
    *,
    window: int = 1,
    paper_figure: int | None = None,
    log: bool = False,
) -> Axes:
    """One quantity of the training history against the step, one line a normalizer, band over seeds.

    Args:
        frame: rows of one network and one learning rate.
        ax: the panel.
        quantity: a quantity of probes `history` or `test`; accuracies are shown in percent.
        window: rows of the moving average (the present step and those before); the raw median is drawn too, thin.
        paper_figure: overlay the paper's curves of this figure where they reach into our range of steps.
        log: logarithmic vertical axis.
    """
    # a landscape walk has a loss, too
    rows = frame[(frame["quantity"] == quantity) & frame["probe"].isin(["history", "test"])]
    study = str(rows["study"].iloc[0]) if len(rows) else "vgg"
    kinds = draw_normalizers(ax, rows, axis_label(quantity, study), window=window, factor=scale(quantity), log=log)
    if kinds and paper_figure is not None:
        rate = float(rows["learning_rate"].iloc[0])
        last = float(rows["step"].max())
        overlay_paper_curve(
            ax, paper_figure, kinds, quantity, learning_rate=rate, last_step=last, factor=scale(quantity)
        )
    return ax


def plot_paper_curves(
    ax: Axes,
    figure: int,
    panel: str,
    quantity: str,
    norm_layers: Sequence[str],
    learning_rates: Sequence[float],
    *,
    log: bool = False,
    study: str = "vgg",
) -> Axes:
    """A panel of the paper's own curves alone, for when our axes are not comparable; a second rate is drawn lighter."""
    for position, rate in enumerate(learning_rates):
        before = len(ax.lines)
        overlay_paper_curve(ax, figure, list(norm_layers), quantity, learning_rate=rate, factor=scale(quantity))
        for line in ax.lines[before:]:
            line.set_alpha(0.9 if position == 0 else 0.4)
    ax.set_xlabel("training step")
    ax.set_ylabel(axis_label(quantity, study))
    ax.set_title(f"{paper_title(figure, panel)}\nlearning rate {' (dark), '.join(map(number, learning_rates))}")
    if log:
        ax.set_yscale("log", nonpositive="mask")
    return ax


def shown_learning_rates(frame: pd.DataFrame, main: float, at_most: int = 2) -> list[float]:
    """The learning rates that get a panel: `main` first, then the paper's other one, then those of most normalizers."""
    coverage = frame.groupby("learning_rate")["norm_layer"].nunique().sort_values(ascending=False, kind="stable")
    rates = [float(rate) for rate in (main, PAPER_SECOND_RATE) if any(same(rate, coverage.index))]
    rates += [float(rate) for rate in coverage.index if not any(same(rate, rates))]
    return sorted(rates[:at_most])


def is_comparable(frame: pd.DataFrame, learning_rate: float) -> bool:
    """Whether the paper's curves can lie on our axes: a network of its kind, its rate, a tenth of its steps."""
    study = str(frame["study"].iloc[0]) if len(frame) else ""
    if study not in PAPER_RATES:
        return False
    paper_rates, last_step = PAPER_RATES[study], STEPS[study]
    return bool(same(learning_rate, paper_rates).any() and frame["step"].max() >= last_step / 10)


def accuracy_figure(
    frame: pd.DataFrame,
    learning_rate: float,
    norm_layers: Sequence[str],
    *,
    quantities: Sequence[str] = ("train_accuracy",),
    window: int = 1,
    paper: tuple[int, Sequence[str]] = (1, "ab"),
    paper_rates: Sequence[float] = (LEARNING_RATE["vgg"],),
    at_most: int = 2,
    about: Sequence[str] = (),
) -> Figure:
    """Rows: quantities; columns: learning rates, and the paper's panel where no overlay is possible.

    Without any of the normalizers `about` there is nothing to show.
    """
    frame = frame[frame["norm_layer"].isin(norm_layers)]
    if frame.empty:
        return empty_figure()
    if missing := lacking(frame, about):
        return empty_figure(missing)
    rates = shown_learning_rates(frame, learning_rate, at_most)
    overlay = any(is_comparable(frame[frame["learning_rate"] == rate], rate) for rate in rates)
    figure, axes = page_figure(len(quantities), len(rates) + (not overlay))
    for row, (quantity, panel) in enumerate(zip(quantities, paper[1], strict=True)):
        for column, rate in enumerate(rates):
            cell = frame[frame["learning_rate"] == rate]
            fits = is_comparable(cell, rate)
            smoothing = window if quantity == "train_accuracy" else 1
            ax = plot_training(
                cell, axes[row, column], quantity, window=smoothing, paper_figure=paper[0] if fits else None
            )
            ax.set_title(f"learning rate {number(rate)}")
            ax.set_ylim(0, 102)
        if not overlay:
            plot_paper_curves(axes[row, -1], paper[0], panel, quantity, norm_layers, paper_rates).set_ylim(0, 102)
    legend(figure, frame["norm_layer"], paper=True)
    return figure


def figure_1(frame: pd.DataFrame, learning_rate: float, *, window: int = 1) -> Figure:
    """Figure 1(a, b): train and test accuracy with and without BatchNorm, at two learning rates."""
    return accuracy_figure(
        frame,
        learning_rate,
        ["none", "batch"],
        quantities=("train_accuracy", "test_accuracy"),
        window=window,
        paper=(1, "ab"),
        paper_rates=(LEARNING_RATE["vgg"], PAPER_SECOND_RATE),
    )


def figure_2(frame: pd.DataFrame, learning_rate: float, *, window: int = 1) -> Figure:
    """Figure 2 (left): train accuracy with noisy BatchNorm; also the noise block on the plain network."""
    noisy = ["noisy_batch", "noise"]
    return accuracy_figure(
        frame, learning_rate, ["none", "batch", *noisy], window=window, paper=(2, "a"), at_most=1, about=noisy
    )


def figure_5a(frame: pd.DataFrame, learning_rate: float, *, window: int = 1) -> Figure:
    """Figure 5(a): train accuracy of the VGG with plain, batch, ℓ1, ℓ2 and ℓ∞ normalization."""
    return accuracy_figure(
        frame, learning_rate, ["none", "batch", *LP], window=window, paper=(5, "a"), at_most=1, about=LP
    )
