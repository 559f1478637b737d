"""Distributions over time: Figures 1(c), 2 (right), 6, 8 and 9 of the paper, and their scale-free forms."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.absent import empty_figure, say_nothing_to_draw
from normlab.figures.bands import (
    draw_normalizers,
    overlay_paper_curve,
)
from normlab.figures.style import (
    LP,
    axis_label,
    color,
    label,
    layer_label,
    legend,
    nearest_layers,
    order,
    page_figure,
    places,
    shown,
)
from normlab.figures.training import is_comparable
from normlab.paper.rows import DEPTH, LEARNING_RATE

TAIL = 0.002  # mass beyond each end of the drawn range; the ranges of the paper's own panels cut the tails as well


def plot_histograms(frame: pd.DataFrame, ax: Axes, *, at_most: int = 9) -> Axes:
    """Histograms of one unit over the steps of training, one ridge a step, time running upwards (1c, 2, 6, 9).

    Args:
        frame: histogram rows of one normalizer, layer and seed; the unit with the smallest number is drawn.
        ax: the panel; its vertical axis is the training step (of the evenly chosen probed steps), not a density.
        at_most: ridges drawn, first and last step included.

    The range leaves out the outer 0.2 % on each side over all steps drawn. Histograms with non-finite edges are left
    out, and the panel says how many.
    """
    if frame.empty:
        return say_nothing_to_draw(ax)
    rows = frame[frame["unit"] == frame["unit"].min()]
    broken = ~np.isfinite(rows["left"]) | ~np.isfinite(rows["right"])
    lost = rows.loc[broken, "step"].nunique()
    rows = rows[~broken]
    if rows.empty:
        return say_nothing_to_draw(ax, "every histogram is non-finite")
    steps = sorted(rows["step"].unique())
    chosen = [
        steps[i] for i in dict.fromkeys(np.linspace(0, len(steps) - 1, min(at_most, len(steps))).round().astype(int))
    ]
    rows = rows[rows["step"].isin(chosen)]
    shade = color(str(rows["norm_layer"].iloc[0]))
    for place, step in enumerate(chosen):
        ridge = rows[rows["step"] == step].sort_values("left")
        width = (ridge["right"] - ridge["left"]).to_numpy()
        density = ridge["count"].to_numpy() / np.where(width > 0, width, 1.0)
        height = place + 1.6 * density / max(density.max(), 1e-300)
        edges = np.append(ridge["left"].to_numpy(), ridge["right"].to_numpy()[-1])
        tops = np.append(height, height[-1])
        depth = len(chosen) - place
        ax.fill_between(edges, place, tops, step="post", color=shade, alpha=0.55, linewidth=0, zorder=depth)
        ax.step(edges, tops, where="post", color="white", linewidth=0.6, zorder=depth, gid=f"ridge-{step}")
    ax.set_xlim(*_range(rows))
    ax.set_yticks(range(len(chosen)), [str(step) for step in chosen])
    ax.set_ylabel("training step")
    ax.set_xlabel("output of the normalizer")
    if lost:
        ax.annotate(f"non-finite at {lost} steps", (0.02, 0.98), xycoords="axes fraction", va="top", fontsize=8)
    return ax


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    """The interval that holds all but `TAIL` of the counts on each side."""
    ordered = rows.sort_values("left")
    share = ordered["count"].cumsum() / max(1, ordered["count"].sum())
    low = ordered.loc[share >= TAIL, "left"].min()
    high = ordered.loc[share >= 1 - TAIL, "right"].min()
    return (float(low), float(high)) if high > low else (float(low) - 1.0, float(low) + 1.0)


def histogram_figure(
    frame: pd.DataFrame,
    learning_rate: float,
    norm_layers: Sequence[str],
    numbers: Sequence[int],
    *,
    depth: int = DEPTH["vgg"],
    about: Sequence[str] = (),
) -> Figure:
    """Rows: layers at the relative depth of the paper's `numbers`; columns: normalizers. The lowest seed is drawn.

    Without any of the normalizers `about` there is nothing to show.
    """
    frame, missing = shown(frame, norm_layers, learning_rate, about)
    if missing:
        return empty_figure(missing)
    frame = frame[frame["seed"] == frame["seed"].min()]
    place = places(frame)
    layers = nearest_layers(place, numbers, depth)
    kinds = order(frame["norm_layer"])
    figure, axes = page_figure(len(layers), len(kinds), height=2.9)
    separator = ", " if len(kinds) < 4 else "\n"
    for row, layer in enumerate(layers):
        for column, kind in enumerate(kinds):
            cell = frame[(frame["layer"] == layer) & (frame["norm_layer"] == kind)]
            plot_histograms(cell, axes[row, column]).set_title(f"{label(kind)}{separator}{layer_label(place[layer])}")
            if column:
                axes[row, column].set_ylabel("")
            axes[row, column].set_xlabel("")
    figure.supxlabel("output of the normalizer (before the ReLU)", fontsize=10)
    return figure


def figure_1c(histograms: pd.DataFrame, learning_rate: float) -> Figure:
    """Figure 1(c): activations at the paper's layers #3 and #11, plain and BatchNorm."""
    return histogram_figure(histograms, learning_rate, ["none", "batch"], (3, 11))


def figure_2_histograms(histograms: pd.DataFrame, learning_rate: float) -> Figure:
    """Figure 2 (right): activations at layers #2, #9, #13, plain, BatchNorm and noisy BatchNorm."""
    noisy = ["noisy_batch"]
    return histogram_figure(histograms, learning_rate, ["none", "batch", *noisy], (2, 9, 13), about=noisy)


def figure_6(histograms: pd.DataFrame, learning_rate: float) -> Figure:
    """Figure 6: activations at layer #11 under plain, batch, ℓ1, ℓ2 and ℓ∞ normalization."""
    return histogram_figure(histograms, learning_rate, ["none", "batch", *LP], (11,), about=LP)


def figure_9(histograms: pd.DataFrame, learning_rate: float) -> Figure:
    """Figure 9: activations of the deep linear network at layers #1, #11, #24."""
    kinds = ["none", "batch", *LP]
    return histogram_figure(histograms, learning_rate, kinds, (1, 11, 24), depth=DEPTH["dln"])


def plot_moments(
    frame: pd.DataFrame, ax: Axes, quantity: str, *, paper_layer: int | None = None, log: bool = True
) -> Axes:
    """One statistic of one layer (mean over its followed units) against the step, band over seeds (8a, 8b)."""
    rows = frame[frame["quantity"] == quantity]
    kinds = draw_normalizers(ax, rows, axis_label(quantity), log=log)
    if not kinds:
        return ax
    if paper_layer is not None:
        rate, last = float(rows["learning_rate"].iloc[0]), float(rows["step"].max())
        overlay_paper_curve(ax, 8, kinds, quantity, learning_rate=rate, layer=paper_layer, last_step=last)
    return ax


def figure_8(
    frame: pd.DataFrame,
    learning_rate: float,
    *,
    quantities: Sequence[str] = ("mean_abs_change", "variance_abs_change", "mean_drift", "variance_drift"),
    norm_layers: Sequence[str] = ("none", "batch", "noisy_batch"),
) -> Figure:
    """Figure 8: change and drift of activation moments at layers #2, #9, #13 (columns), and the paper's own curves.

    Drifts are signed and have a linear axis; changes a logarithmic one.
    """
    frame, missing = shown(frame, norm_layers, learning_rate)
    if missing:
        return empty_figure(missing)
    network = str(frame["network"].iloc[0])
    place = places(frame)
    layers = nearest_layers(place, (2, 9, 13))
    exact = [place[layer] for layer in layers] == [2, 9, 13]
    overlay = is_comparable(frame, learning_rate) and exact
    figure, axes = page_figure(len(quantities), len(layers) + (not overlay), height=2.5, width=12.0)
    for row, quantity in enumerate(quantities):
        log = "drift" not in quantity
        for column, layer in enumerate(layers):
            cell = frame[frame["layer"] == layer]
            paper = place[layer] if overlay else None
            ax = plot_moments(cell, axes[row, column], quantity, paper_layer=paper, log=log)
            ax.set_title(f"{network}, {layer_label(place[layer])}")
        if not overlay:
            ax = axes[row, -1]
            if overlay_paper_curve(ax, 8, list(norm_layers), quantity, learning_rate=LEARNING_RATE["vgg"], layer=9):
                ax.set_yscale("log" if log else "linear")
                ax.set_title("Paper, Figure 8, layer #9")
                ax.set_xlabel("training step")
            else:
                say_nothing_to_draw(ax, "not in the paper")
    legend(figure, frame["norm_layer"], paper=True)
    return figure
