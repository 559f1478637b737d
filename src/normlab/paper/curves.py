"""The paper's own curves, read from the vector figures of arXiv:1805.11604v3.

Every curve is one training run; the paper gives no seeds and no error bars. `README.md` beside this module
says how the curves were read, how exact they are, and what the figures leave ambiguous.
"""

from functools import cache
from importlib import resources

import pandas as pd

FILES = {
    1: "fig1_accuracy.csv",
    2: "fig2_accuracy.csv",
    3: "fig3_ics.csv",
    4: "fig4_landscape.csv",
    5: "fig5_lp.csv",
    8: "fig8_moments.csv",
    10: "fig10_landscape.csv",
    11: "fig11_step_size.csv",
    12: "fig12_landscape.csv",
    13: "fig13_landscape.csv",
}

# The published name of a quantity, by the name it has in normlab's tables.
QUANTITIES = {
    "train_accuracy": "train_accuracy",
    "test_accuracy": "test_accuracy",
    "loss": "loss",
    "loss_low": "loss_low",
    "loss_high": "loss_high",
    "gradient_distance_low": "grad_diff_low",
    "gradient_distance_high": "grad_diff_high",
    "gradient_distance": "grad_diff",
    "effective_beta": "effective_beta",
    "l2": "ics_l2",
    "cosine": "ics_cosine",
    "mean_abs_change": "mean_delta",
    "variance_abs_change": "var_delta",
    "mean_drift": "mean_drift",
    "variance_drift": "var_drift",
}
_OURS = {published: ours for ours, published in QUANTITIES.items()}


@cache
def load_figure(figure: int) -> pd.DataFrame:
    """All curves of one figure of the paper, one row a point.

    Columns: `panel`, `network` (vgg or dln), `norm_layer`, `learning_rate`, `layer` (number printed in the figure,
    missing if none), `quantity` (normlab's name; `ics_l2_relative` keeps the published one: its axis has no labels),
    `step`, `step_size` (absolute, missing if none), `value` (accuracy in [0, 1]; losses and distances in the
    figure's units).

    Raises:
        ValueError: the figure has no digitized curves (6, 7 and 9 are histograms or a drawing).
    """
    if figure not in FILES:
        raise ValueError(f"figure {figure} has no digitized curves; there are: {', '.join(map(str, FILES))}")
    with resources.files("normlab.paper").joinpath(FILES[figure]).open(encoding="utf-8") as handle:
        table = pd.read_csv(handle).rename(columns={"norm": "norm_layer"})
    table["quantity"] = table["quantity"].replace(_OURS)
    for column in ("layer", "step_size"):
        if column not in table:
            table[column] = float("nan")
    columns = ["panel", "network", "norm_layer", "learning_rate", "layer", "quantity", "step", "step_size", "value"]
    return table[columns]


def paper_curve(
    figure: int, norm_layer: str, quantity: str, learning_rate: float | None = None, layer: int | None = None
) -> pd.DataFrame:
    """One curve of the paper as columns `step`, `value`, ordered by step; empty when the paper shows no such curve."""
    table = load_figure(figure)
    chosen = (table["norm_layer"] == norm_layer) & (table["quantity"] == quantity)
    if learning_rate is not None:
        chosen &= table["learning_rate"] == learning_rate
    if layer is not None:
        chosen &= table["layer"] == layer
    return table.loc[chosen, ["step", "value"]].sort_values("step", ignore_index=True)
