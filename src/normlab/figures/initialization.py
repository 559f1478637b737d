"""At step 0 and just after: gradient norms against depth, and the landscape of untrained networks (claim C24)."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from normlab.figures.bands import draw_band
from normlab.figures.style import axis_label, in_network_order, order, say_nothing_to_draw


def plot_gradient_by_layer(frame: pd.DataFrame, ax: Axes, step: int) -> Axes:
    """Gradient norm of every weight layer at one step, one line a normalizer, band over seeds; logarithmic axis."""
    rows = frame[(frame["quantity"] == "layer_grad_norm") & (frame["step"] == step)]
    ax.set_xlabel("layer (place in the network)")
    ax.set_ylabel(axis_label("layer_grad_norm"))
    if rows.empty:
        return say_nothing_to_draw(ax)
    places = {name: place + 1 for place, name in enumerate(in_network_order(rows["layer"].unique()))}
    rows = rows.assign(place=rows["layer"].map(places).astype(int))
    for kind in order(rows["norm_layer"]):
        draw_band(ax, rows[rows["norm_layer"] == kind], kind, x="place")
    ax.set_yscale("log", nonpositive="mask")
    ax.set_title(f"step {step}")
    return ax


def first_steps(frame: pd.DataFrame, count: int = 3) -> list[int]:
    """Step 0 and the next probed steps, `count` in all."""
    return [int(step) for step in sorted(frame["step"].unique())[:count]]


def plot_start(frame: pd.DataFrame, ax: Axes, quantity: str, steps: Sequence[int]) -> Axes:
    """A summary of the walk (`gradient_distance_high`, `effective_beta`) over the first probed steps only."""
    rows = frame[(frame["quantity"] == quantity) & frame["step_size"].isna() & frame["step"].isin(list(steps))]
    ax.set_xlabel("training step")
    ax.set_ylabel(axis_label(quantity.removesuffix("_high")))
    if rows.empty:
        return say_nothing_to_draw(ax)
    for kind in order(rows["norm_layer"]):
        draw_band(ax, rows[rows["norm_layer"] == kind], kind)
    ax.set_yscale("log", nonpositive="mask")
    return ax
