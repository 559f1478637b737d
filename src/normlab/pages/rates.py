"""The learning-rate study as a table: each normalizer's best rate and its largest usable one."""

import numpy as np
import pandas as pd

from normlab.figures.speed import steps_to
from normlab.figures.style import label, number, order
from normlab.pages.pictures import Html, table
from normlab.pages.sentences import spread


def rates_table(frame: pd.DataFrame, accuracy: float, window: int) -> Html:
    """One row a normalizer that was trained at several rates.

    The best rate has the fewest steps to `accuracy` (median over seeds); the test split takes no part. At the lowest or
    highest rate of the sweep it is only the best one tried, and the table says so. Where no rate gets there in half of
    the seeds there is none. A rate is usable in a seed if the run reaches `accuracy`.

    Args:
        frame: training rows of one network.
        accuracy: train accuracy, mean of the last `window` steps, in [0, 1].
        window: steps.
    """
    steps = steps_to(frame, accuracy, window)
    rows = []
    for kind in order(frame["norm_layer"]):
        by_rate = steps[steps["norm_layer"] == kind].pivot(index="seed", columns="learning_rate", values="value")
        if by_rate.shape[1] < 2:
            continue
        best = by_rate.median().idxmin()
        reached = np.isfinite(by_rate[best].median())
        usable = by_rate.apply(lambda seed: max(seed.index[np.isfinite(seed)], default=np.nan), axis=1)
        rows.append(
            [
                label(kind),
                ", ".join(number(rate) for rate in by_rate),
                _best(best, list(by_rate)) if reached else "none",
                spread(by_rate[best].dropna()) if reached else "–",
                _largest(usable, by_rate.columns.max()),
            ]
        )
    if not rows:
        return table(["learning rates"], [["one rate only in this preset: no sweep"]])
    head = ["", "rates", "best rate", f"steps to {100 * accuracy:g} % at it", "largest usable rate"]
    return table(head, rows, "Median over seeds [least – greatest seed]; ∞: never reached; ≥: the sweep ends there.")


def _best(best: float, rates: list[float]) -> str:
    edges = {min(rates): "the lowest tried", max(rates): "the highest tried"}
    return number(best) + (f" ({edges[best]})" if best in edges else "")


def _largest(usable: pd.Series, end: float) -> str:
    known = usable.dropna()
    if known.empty:
        return "none of them, in any seed"
    beyond = "≥ " if (known == end).all() else ""
    none = len(usable) - len(known)
    return f"{beyond}{spread(known)}" + (f" (none in {none} of {len(usable)} seeds)" if none else "")
