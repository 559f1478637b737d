"""One number a run out of the tidy tables, as the pages compare them: rows seeds, columns normalizers."""

import numpy as np
import pandas as pd

from normlab.analysis.quantities import step_weights, weighted_median
from normlab.figures.speed import steps_to
from normlab.figures.style import in_network_order, main_learning_rate, same


def at_rate(frame: pd.DataFrame, preferred: float = 0.1) -> pd.DataFrame:
    """The rows at the one learning rate that is shown: the paper's if measured."""
    if frame.empty:
        return frame
    return frame[same(frame["learning_rate"], main_learning_rate(frame, preferred))]


def per_seed(
    frame: pd.DataFrame, quantity: str, *, after: float = 0.0, until: float = 1.0, reduce: str = "median"
) -> pd.DataFrame:
    """One number a run: a quantity reduced over a phase of training, as the claims do it.

    Args:
        frame: rows of one cell a normalizer; rows with a step size of their own are left out.
        quantity: the quantity.
        after: the phase is a·T < t ≤ b·T with a = `after`, T the last step of the table; so step 0 belongs to none.
        until: b; 0 means step 0 alone.
        reduce: `median` over the probed steps of the phase, each weighted by the steps it stands for (probes are denser
            at the start); or `mean` or `last` over all steps. In a landscape walk NaN is overflow and counts as ∞.

    Returns:
        Rows seeds, columns normalizers.
    """
    rows = frame[frame["quantity"] == quantity].sort_values("step")
    if "step_size" in rows:
        rows = rows[rows["step_size"].isna()]
    if rows.empty:
        return pd.DataFrame()
    if "probe" in rows and str(rows["probe"].iloc[0]).startswith("landscape"):
        rows = rows.assign(value=rows["value"].fillna(np.inf))
    if until == 0:
        rows = rows[rows["step"] == 0]
    elif reduce == "median":
        last = rows["step"].max()
        rows = rows[(rows["step"] > after * last) & (rows["step"] <= until * last)]
    reduced = {
        key: _reduce(run.dropna(subset=["value"]), reduce)
        for key, run in rows.groupby(["seed", "norm_layer"], observed=True)
    }
    return pd.Series(reduced).rename_axis(["seed", "norm_layer"]).unstack("norm_layer") if reduced else pd.DataFrame()


def up_to_rate(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The greatest value of a walk's quantity over step sizes of at most the learning rate, as rows of the same schema.

    Steps that training itself could take; the paper's grid reaches 4 (VGG) and 30 (deep linear) times further.
    """
    rows = frame[(frame["quantity"] == quantity) & (frame["step_size"] <= frame["learning_rate"] * (1 + 1e-6))]
    keys = ["probe", "norm_layer", "learning_rate", "seed", "step", "quantity"]
    return rows.groupby(keys, observed=True)["value"].max().reset_index().assign(step_size=np.nan)


def _reduce(run: pd.DataFrame, how: str) -> float:
    values = run["value"].to_numpy(dtype=float)
    if not len(values):
        return float("nan")
    if how == "last":
        return float(values[-1])
    return float(values.mean()) if how == "mean" else weighted_median(values, step_weights(run["step"].to_numpy()))


def over_layers(
    frame: pd.DataFrame, quantity: str, *, steps: tuple[int, int] | None = None, skip_first: bool = True
) -> pd.DataFrame:
    """Median of a layer quantity over layers and steps, one number a run; rows seeds, columns normalizers.

    Args:
        frame: rows of one cell a normalizer.
        quantity: the quantity.
        steps: first and last step; None means all after step 0.
        skip_first: leave out the layer with the smallest number, where the shift is exactly 0 by definition.
    """
    rows = frame[frame["quantity"] == quantity]
    low, high = steps if steps is not None else (1, np.inf)
    rows = rows[(rows["step"] >= low) & (rows["step"] <= high)]
    if skip_first and len(rows):
        rows = rows[rows["layer"] != in_network_order(rows["layer"].unique())[0]]
    return rows.groupby(["seed", "norm_layer"], observed=True)["value"].median().unstack("norm_layer")


def steps_per_seed(frame: pd.DataFrame, accuracy: float, window: int) -> pd.DataFrame:
    """Steps to a train accuracy, one number a run (inf if never); rows seeds, columns normalizers."""
    return steps_to(frame, accuracy, window).pivot(index="seed", columns="norm_layer", values="value")
