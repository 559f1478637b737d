"""How fast a run learns: steps to an accuracy, usable learning rates, and whether early smoothness goes with speed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from normlab.analysis.quantities import step_weights, weighted_median
from normlab.figures.bands import draw_band, mark_non_finite
from normlab.figures.style import MARKERS, color, label, order, plain_ticks, say_nothing_to_draw


def steps_to(frame: pd.DataFrame, threshold: float, window: int = 1) -> pd.DataFrame:
    """How many batches were seen when the mean train accuracy of the last `window` reached `threshold`; inf if never.

    Columns norm_layer, learning_rate, seed, value. The definition is that of `statistics.first_reached`, which the
    claims use: the mean counts only from the step on at which it has `window` values.
    """
    rows = frame[frame["quantity"] == "train_accuracy"].sort_values("step")
    found = []
    for key, run in rows.groupby(["norm_layer", "learning_rate", "seed"], observed=True):
        # the mean of equal values may be rounded down
        reached = np.flatnonzero(run["value"].rolling(window).mean() >= threshold - 1e-9)
        found.append((*key, float(reached[0] + 1) if len(reached) else np.inf))
    return pd.DataFrame(found, columns=["norm_layer", "learning_rate", "seed", "value"])


def plot_steps_to_accuracy(frame: pd.DataFrame, ax: Axes, thresholds: Sequence[float], *, window: int = 1) -> Axes:
    """Steps until the averaged train accuracy reaches each threshold: one marker a seed, the median as a bar.

    Runs that never reach it are triangles on the upper edge, with their number.
    """
    kinds = order(frame["norm_layer"])
    for place, threshold in enumerate(thresholds):
        table = steps_to(frame, threshold, window)
        for shift, kind in enumerate(kinds):
            values = table.loc[table["norm_layer"] == kind, "value"].to_numpy()
            x = place + (shift - (len(kinds) - 1) / 2) * 0.8 / len(kinds)
            _draw_seeds(ax, x, values, kind, f"{kind}-{threshold:g}")
    ax.set_xticks(range(len(thresholds)), [f"{100 * threshold:g} %" for threshold in thresholds])
    ax.set_xlabel("train accuracy to reach")
    ax.set_ylabel("training steps")
    return ax


def _draw_seeds(ax: Axes, x: float, values: np.ndarray, kind: str, name: str) -> None:
    """Finite values as markers with their median, the others as a triangle on the upper edge with their number."""
    finite = values[np.isfinite(values)]
    ax.plot(
        np.full(len(finite), x),
        finite,
        MARKERS.get(kind, "o"),
        color=color(kind),
        markersize=5,
        alpha=0.75,
        gid=f"seeds-{name}",
    )
    if len(values) and np.isfinite(np.median(values)):
        ax.hlines(np.median(values), x - 0.06, x + 0.06, color=color(kind), linewidth=2)
    never = len(values) - len(finite)
    if never:
        mark_non_finite(ax, np.array([x]), kind)
        where = ax.get_xaxis_transform()
        ax.annotate(
            str(never),
            (x, 1.0),
            xycoords=where,
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=color(kind),
        )


def plot_learning_rate_scan(frame: pd.DataFrame, ax: Axes, *, last: int = 50) -> Axes:
    """Final train accuracy (mean of the last `last` steps) against the learning rate, one line a normalizer."""
    rows = frame[(frame["quantity"] == "train_accuracy")]
    ax.set_xlabel("learning rate")
    ax.set_ylabel(f"train accuracy (%),\nmean of last {last} steps")
    if rows.empty:
        return say_nothing_to_draw(ax)
    keys = ["norm_layer", "learning_rate", "seed"]
    final = rows.sort_values("step").groupby(keys, observed=True)["value"].apply(lambda run: run.tail(last).mean())
    table = final.reset_index()
    for kind in order(table["norm_layer"]):
        draw_band(ax, table[table["norm_layer"] == kind], kind, x="learning_rate", factor=100)
    ax.set_xscale("log")
    plain_ticks(ax, table["learning_rate"].unique())
    return ax


def smoothness_and_speed(
    landscape: pd.DataFrame, history: pd.DataFrame, *, accuracy: float, window: int, early: float = 0.4
) -> pd.DataFrame:
    """One row a cell: `smoothness` (early β at step sizes up to the learning rate) and `steps` to `accuracy`.

    β is the greatest over the step sizes ≤ the learning rate, its median over the first `early` part of training (step
    0 left out, each probed step weighted by the steps it stands for), then over seeds; `steps` is the median over
    seeds, inf where most never reach the accuracy.
    """
    rows = landscape[
        (landscape["quantity"] == "beta") & (landscape["step_size"] <= 1.000001 * landscape["learning_rate"])
    ]
    rows = rows[(rows["step"] > 0) & (rows["step"] <= early * landscape["step"].max())]
    cell = ["norm_layer", "learning_rate"]
    widest = rows.groupby([*cell, "seed", "step"], observed=True)["value"].max().reset_index()
    runs = widest.groupby([*cell, "seed"], observed=True)
    per_run = {key: weighted_median(run["value"].to_numpy(), step_weights(run["step"].to_numpy())) for key, run in runs}
    smooth = pd.Series(per_run, dtype=float).rename_axis([*cell, "seed"]).groupby(cell, observed=True).median()
    steps = steps_to(history, accuracy, window).groupby(cell, observed=True)["value"].median()
    return pd.DataFrame({"smoothness": smooth, "steps": steps}).dropna(subset=["smoothness"]).reset_index()


def plot_smoothness_against_speed(table: pd.DataFrame, ax: Axes) -> Axes:
    """Each cell of `smoothness_and_speed` as a marker; cells that never reach the accuracy are on the upper edge."""
    ax.set_xlabel("early effective β at step sizes ≤ learning rate\n(1/step size)")
    ax.set_ylabel("steps to the train accuracy")
    if table.empty:
        return say_nothing_to_draw(ax)
    for kind in order(table["norm_layer"]):
        mine = table[table["norm_layer"] == kind]
        there = mine[np.isfinite(mine["steps"])]
        ax.plot(
            there["smoothness"],
            there["steps"],
            MARKERS.get(kind, "o"),
            color=color(kind),
            label=label(kind),
            gid=f"cells-{kind}",
        )
        mark_non_finite(ax, mine.loc[~np.isfinite(mine["steps"]), "smoothness"].to_numpy(), kind)
    ax.set_xscale("log")
    return ax
