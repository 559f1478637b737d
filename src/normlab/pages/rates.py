"""The learning-rate study as a table: each normalizer's fastest rate and its largest usable one."""

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.quantities import steps_to_accuracy
from normlab.analysis.rates import fastest_rate, largest_usable_rate
from normlab.figures.style import label, number, order
from normlab.pages.comparisons import spread
from normlab.pages.pictures import Html, paragraphs, table


def rates_table(cells: Cells, accuracy: float) -> Html:
    """One row a normalizer of `analyze.network` that was trained at several rates.

    The fastest rate is that of `normlab.analysis.rates.fastest_rate`; the test split takes no part. At the lowest or
    highest rate of the sweep it is only the fastest one tried, and the table says so. Where no rate gets there in half
    of the seeds there is none. A rate is usable in a seed if the run reaches `accuracy`.

    Args:
        cells: the cells of all rates.
        accuracy: train accuracy, mean of the last `analyze.window` steps, in [0, 1].
    """
    window = cells.spec.window
    rows = []
    for kind in order([norm for network, norm, _ in cells.all if network == cells.spec.network]):
        swept = cells.rates(kind)
        if len(swept) < 2:
            continue
        rates = [cell.learning_rate for cell in swept]
        fastest = fastest_rate(cells, kind, accuracy)
        steps = steps_to_accuracy(fastest, accuracy, window).values["value"]
        reached = np.isfinite(steps.median())
        usable = largest_usable_rate(swept, accuracy, window).values["value"]
        rows.append(
            [
                label(kind),
                ", ".join(map(number, rates)),
                _marked(fastest.learning_rate, rates) if reached else "none",
                spread(steps.dropna()) if reached else "–",
                _largest(usable, max(rates)),
            ]
        )
    if not rows:
        return paragraphs("One learning rate only: no sweep.")
    head = ["", "rates", "fastest rate", f"steps to {100 * accuracy:g} % at it", "largest usable rate"]
    return table(head, rows, "Median over seeds [least – greatest seed]; ∞: never reached; ≥: the sweep ends there.")


def _marked(rate: float, rates: list[float]) -> str:
    edges = {min(rates): "the lowest tried", max(rates): "the highest tried"}
    return number(rate) + (f" ({edges[rate]})" if rate in edges else "")


def _largest(usable: pd.Series, end: float) -> str:
    known = usable.dropna()
    if known.empty:
        return "none of them, in any seed"
    beyond = "≥ " if (known == end).all() else ""
    none = len(usable) - len(known)
    return f"{beyond}{spread(known)}" + (f" (none in {none} of {len(usable)} seeds)" if none else "")
