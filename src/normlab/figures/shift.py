"""Internal covariate shift (Definition 2.1): Figure 3 of the paper, and its scale-free forms."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.absent import empty_figure, say_nothing_to_draw
from normlab.figures.bands import (
    draw_normalizers,
    guide,
    overlay_paper_curve,
)
from normlab.figures.style import (
    axis_label,
    layer_label,
    legend,
    nearest_layers,
    number,
    page_figure,
    places,
    same,
    shown,
)
from normlab.figures.training import is_comparable
from normlab.paper.rows import DEPTH, LEARNING_RATE

PAPER_LAYERS = {"vgg": (5, 10), "dln": (9, 17)}
PAPER_SHIFT_RATES = {"vgg": (0.01, 0.1), "dln": (1e-6, 1e-7)}  # that its Figure 3 shows


def plot_shift(frame: pd.DataFrame, ax: Axes, quantity: str, *, paper_layer: int | None = None) -> Axes:
    """`l2`, `relative_l2` or `cosine` of one layer against the step, one line a normalizer, band over seeds.

    Distances have a logarithmic axis (exact zeros, as at the first layer, fall below it); the cosine runs from −1 to 1.
    With `paper_layer` the paper's curves of that layer are overlaid.
    """
    rows = frame[frame["quantity"] == quantity]
    kinds = draw_normalizers(ax, rows, axis_label(quantity), log=quantity != "cosine")
    if not kinds:
        return ax
    if paper_layer is not None:
        rate, last = float(rows["learning_rate"].iloc[0]), float(rows["step"].max())
        overlay_paper_curve(ax, 3, kinds, quantity, learning_rate=rate, layer=paper_layer, last_step=last)
    if quantity == "cosine":
        ax.set_ylim(-1.05, 1.05)
        guide(ax, 0.0, "uncorrelated")
    return ax


def plot_paper_shift(ax: Axes, quantity: str, layer: int, learning_rate: float) -> Axes:
    """The paper's own curves of one layer; the axis of layers 10 and 17 has no labels there, so only ratios count."""
    unlabeled = quantity == "l2" and layer in (10, 17)
    name = "ics_l2_relative" if unlabeled else quantity
    overlay_paper_curve(ax, 3, ["none", "batch"], name, learning_rate=learning_rate, layer=layer)
    ax.set_xlabel("training step")
    ax.set_ylabel("shift, level not printed" if unlabeled else axis_label(quantity))
    ax.set_title(f"Paper, layer #{layer}, rate {number(learning_rate)}")
    if quantity == "cosine":
        ax.set_ylim(-1.05, 1.05)
    else:
        ax.set_yscale("log", nonpositive="mask")
    return ax


def figure_3(
    frame: pd.DataFrame,
    learning_rate: float,
    *,
    norm_layers: Sequence[str] = ("none", "batch"),
    quantities: Sequence[str] = ("l2", "relative_l2", "cosine"),
) -> Figure:
    """Figure 3: the shift of two layers (columns), ours first, the paper's own beside it if not overlaid.

    Layers are those nearest in relative depth to the paper's #5 and #10 of 13 (VGG) or #9 and #17 of 25 (deep linear).
    """
    frame, missing = shown(frame, norm_layers, learning_rate)
    if missing:
        return empty_figure(missing)
    study = "dln" if str(frame["study"].iloc[0]) == "dln" else "vgg"
    network = str(frame["network"].iloc[0])
    place = places(frame)
    layers = nearest_layers(place, PAPER_LAYERS[study], DEPTH[study])
    exact = [place[layer] for layer in layers] == list(PAPER_LAYERS[study])
    overlay = is_comparable(frame, learning_rate) and exact
    drawn = [rate for rate in PAPER_SHIFT_RATES[study] if same(rate, learning_rate)]
    paper_rate = drawn[0] if drawn else LEARNING_RATE[study]
    figure, axes = page_figure(len(quantities), len(layers) + (0 if overlay else 2), height=2.6, width=12.0)
    for row, quantity in enumerate(quantities):
        for column, layer in enumerate(layers):
            cell = frame[frame["layer"] == layer]
            unlabeled = quantity == "l2" and place[layer] in (10, 17)
            paper = place[layer] if overlay and not unlabeled else None
            ax = plot_shift(cell, axes[row, column], quantity, paper_layer=paper)
            ax.set_title(f"{network}, {layer_label(place[layer])}, rate {number(learning_rate)}")
        if overlay:
            continue
        for column, paper_layer in enumerate(PAPER_LAYERS[study]):
            ax = axes[row, len(layers) + column]
            if quantity == "relative_l2":
                say_nothing_to_draw(ax, "not in the paper")
            else:
                plot_paper_shift(ax, quantity, paper_layer, paper_rate)
    legend(figure, frame["norm_layer"], paper=True)
    return figure
