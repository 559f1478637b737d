"""The learning-rate study as a table: each normalizer's best rate and its largest usable one."""

import numpy as np
import pandas as pd

from normlab.analysis.figures.speed import steps_to
from normlab.analysis.figures.style import label, number, order
from normlab.reporting.pictures import Html, table
from normlab.reporting.sentences import spread


def rates_table(frame: pd.DataFrame, accuracy: float, window: int) -> Html:
    """One row a normalizer that was trained at several rates.

    The best rate has the fewest steps to `accuracy` (median over seeds), or where no rate reaches it the highest mean
    train accuracy; the test split takes no part. A rate is usable in a seed if the run reaches `accuracy`.

    Args:
        frame: training rows of one network.
        accuracy: train accuracy, mean of the last `window` steps, in [0, 1].
        window: steps.
    """
    steps = steps_to(frame, accuracy, window)
    means = frame[frame["quantity"] == "train_accuracy"].groupby(["norm_layer", "learning_rate", "seed"], observed=True)
    means = means["value"].mean()
    rows = []
    for kind in order(frame["norm_layer"]):
        by_rate = steps[steps["norm_layer"] == kind].pivot(index="seed", columns="learning_rate", values="value")
        if by_rate.shape[1] < 2:
            continue
        accuracies = means[kind].groupby("learning_rate", observed=True).median()
        best = min(by_rate, key=lambda rate: (by_rate[rate].median(), -accuracies[rate]))
        usable = by_rate.apply(lambda seed: max(seed.index[np.isfinite(seed)], default=np.nan), axis=1)
        rows.append(
            [
                label(kind),
                ", ".join(number(rate) for rate in by_rate),
                number(best),
                spread(by_rate[best].dropna()),
                _largest(usable, by_rate.columns.max()),
            ]
        )
    if not rows:
        return table(["learning rates"], [["one rate only in this preset: no sweep"]])
    head = ["", "rates", "best rate", f"steps to {100 * accuracy:g} % at it", "largest usable rate"]
    return table(head, rows, "Median over seeds [least – greatest seed]; ∞: never reached; ≥: the sweep ends there.")


def _largest(usable: pd.Series, end: float) -> str:
    known = usable.dropna()
    if known.empty:
        return "none of them, in any seed"
    beyond = "≥ " if (known == end).all() else ""
    none = len(usable) - len(known)
    return f"{beyond}{spread(known)}" + (f" (none in {none} of {len(usable)} seeds)" if none else "")
