"""At step 0 and just after: gradient norms against depth, and which steps count as the first (claim C24)."""

import pandas as pd
from matplotlib.axes import Axes

from normlab.figures.layers import plot_by_layer
from normlab.figures.style import axis_label


def plot_gradient_by_layer(frame: pd.DataFrame, ax: Axes, step: int) -> Axes:
    """Gradient norm of every weight layer at one step, one line a normalizer, band over seeds; logarithmic axis."""
    rows = frame[(frame["quantity"] == "layer_grad_norm") & (frame["step"] == step)]
    plot_by_layer(rows, ax, axis_label("layer_grad_norm")).set_title(f"step {step}")
    return ax


def first_steps(frame: pd.DataFrame, count: int = 3) -> list[int]:
    """Step 0 and the next probed steps, `count` in all."""
    return [int(step) for step in sorted(frame["step"].unique())[:count]]
