"""Quantities that every layer has, against the layer's place in the network."""

import pandas as pd
from matplotlib.axes import Axes

from normlab.figures.bands import draw_normalizers


def plot_by_layer(table: pd.DataFrame, ax: Axes, ylabel: str, *, log: bool = True) -> Axes:
    """A number a run and layer against the layer, one line a normalizer, band over seeds.

    Args:
        table: columns norm_layer, seed, layer and value.
        ax: the panel.
        ylabel: of the vertical axis, with what was done over steps.
        log: logarithmic vertical axis, off which exact zeros fall; else from −1 to 1, as for a cosine.
    """
    places = {name: place + 1 for place, name in enumerate(table["layer"].unique())}
    rows = table.assign(place=table["layer"].map(places).astype(int))
    drawn = draw_normalizers(ax, rows, ylabel, x="place", xlabel="layer (place in the network)", log=log)
    if drawn and not log:
        ax.set_ylim(-1.05, 1.05)
    return ax
