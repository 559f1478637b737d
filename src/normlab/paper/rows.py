"""The paper's curves as rows of the tidy schema, so that one function computes a quantity from them and from our runs.

A run of the paper is seed 0 of the network `vgg` (13 layers, as its figures number them; 15,000 updates) or `dln`
(10,000). What the figures lack is not there:

- The figures show bands, so of most walks only the edges over the step sizes are known (`loss_low_steps`,
  `loss_high_steps`: without the base point). Figure 11 has the gradient's change at every step size.
  β_k = d_k/(η_k·‖g‖) follows, since the largest of them is the effective β of Figure 4c (10c) at that step:
  β_k = (d_k/η_k)/max_j(d_j/η_j)·β.
- The ℓ2 axes of layers 10 and 17 in Figure 3 have no labels: only ratios between normalizers within a panel mean
  something, and no quantity of the analysis uses more of them.
- Test accuracy exists for none and batch (Figure 1) alone, the loss of the VGG as a band only, and no held-out data.
- Figure 3a is another run than Figures 1, 2, 4, 5, 8 and 12: do not read figures of different runs as one.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from normlab.paper.curves import load_figure
from normlab.tables.rows import COLUMNS

STEPS = {"vgg": 15_000, "dln": 10_000}
NETWORK = "vgg"
LEARNING_RATE = {"vgg": 0.1, "dln": 1e-6}  # at which normalizers are compared
_PROBES = {
    "train_accuracy": "history",
    "loss": "history",
    "test_accuracy": "test",
    "loss_low_steps": "landscape",
    "loss_high_steps": "landscape",
    "loss_range_steps": "landscape",
    "beta": "landscape",
    "gradient_distance_low": "landscape",
    "gradient_distance_high": "landscape",
    "gradient_distance": "landscape",
    "effective_beta": "landscape",
    "l2": "shift",
    "cosine": "shift",
    "mean_abs_change": "activations",
    "variance_abs_change": "activations",
    "mean_drift": "activations",
    "variance_drift": "activations",
}
# what `normlab.paper.curves` calls it: the name of the same quantity in our tables
_NAMES = {"loss_low": "loss_low_steps", "loss_high": "loss_high_steps", "ics_l2_relative": "l2"}
# of a layer that the figures number, by study and probe: what our networks call it
_LAYERS = {
    ("vgg", "shift"): "features.conv{}",
    ("vgg", "activations"): "features.norm{}",
    ("dln", "shift"): "layers.linear{}",
}
DEPTH = {"vgg": 13, "dln": 25}  # normalized layers, as the figures number them


@cache
def paper_rows(figures: Sequence[int]) -> pd.DataFrame:
    """The curves of some figures, one row a point, columns `normlab.tables.rows.COLUMNS`.

    Args:
        figures: numbers of figures with digitized curves, as a tuple; they should show one run of each cell.

    Raises:
        ValueError: a figure has no digitized curves.

    Example:
        >>> rows = paper_rows((4,))
        >>> sorted({"effective_beta", "gradient_distance_high", "cosine"} & set(rows["quantity"]))
        ['effective_beta', 'gradient_distance_high']
    """
    curves = pd.concat([load_figure(figure) for figure in figures], ignore_index=True)
    curves["quantity"] = curves["quantity"].replace(_NAMES)
    curves = pd.concat([curves, _bands(curves), _betas(curves)], ignore_index=True)
    table = curves.assign(
        study=curves["network"],
        variant="",
        seed=0,
        batch=0,
        probe=curves["quantity"].map(_PROBES),
    )
    table["layer"] = [_layer(*point) for point in zip(table["study"], table["probe"], table["layer"], strict=True)]
    table = pd.concat([table, _summaries(table), _places(table)], ignore_index=True)
    keys = [column for column in COLUMNS if column != "value"]
    return table.drop_duplicates(keys)[list(COLUMNS)].reset_index(drop=True)


def _layer(study: str, probe: str, number: float) -> str:
    return "" if np.isnan(number) else _LAYERS[study, probe].format(int(number))


def _bands(curves: pd.DataFrame) -> pd.DataFrame:
    """The width of the loss band."""
    cell = ["network", "norm_layer", "learning_rate", "step"]
    high = curves[curves["quantity"] == "loss_high_steps"].drop_duplicates(cell)
    low = curves[curves["quantity"] == "loss_low_steps"].drop_duplicates(cell).set_index(cell)["value"]
    width = high["value"] - low.reindex(pd.MultiIndex.from_frame(high[cell])).to_numpy()
    return high.assign(quantity="loss_range_steps", value=width)


def _betas(curves: pd.DataFrame) -> pd.DataFrame:
    """β at every step size, where the change of the gradient and the effective β of the same step are both shown."""
    cell = ["network", "norm_layer", "learning_rate", "step"]
    changes = curves[(curves["quantity"] == "gradient_distance") & curves["step_size"].notna()]
    whole = curves[curves["quantity"] == "effective_beta"].set_index(cell)["value"]
    slopes = changes["value"] / changes["step_size"]
    steepest = slopes.groupby([changes[column] for column in cell]).transform("max")
    beta = whole.reindex(pd.MultiIndex.from_frame(changes[cell])).to_numpy()
    return changes.assign(quantity="beta", value=slopes / steepest * beta).dropna(subset=["value"])


def _summaries(table: pd.DataFrame) -> pd.DataFrame:
    """Rows `summary` of every run: how many updates it had, and that it did not diverge."""
    runs = table.drop_duplicates(["study", "norm_layer", "learning_rate"]).assign(
        probe="summary", layer="", step_size=np.nan, step=table["study"].map(STEPS)
    )
    steps = runs.assign(quantity="steps", value=runs["step"].astype(float))
    return pd.concat([steps, runs.assign(quantity="diverged_at", value=np.nan)], ignore_index=True)


def _places(table: pd.DataFrame) -> pd.DataFrame:
    """Rows `structure` of every run: the number of each of its layers, of which the figures show some."""
    found = [table.iloc[:0]]
    for (study, _), name in _LAYERS.items():
        runs = table[table["study"] == study].drop_duplicates(["norm_layer", "learning_rate"])
        runs = runs.assign(probe="structure", quantity="place", step_size=np.nan, step=0)
        found += [runs.assign(layer=name.format(k), value=float(k)) for k in range(1, DEPTH[study] + 1)]
    return pd.concat(found, ignore_index=True)
