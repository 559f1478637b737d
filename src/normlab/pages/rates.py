"""The learning-rate study: where training ends at each rate, each normalizer's fastest rate and largest usable ones."""

import dataclasses

import numpy as np
import pandas as pd

from normlab.analysis.catalog import by_run, training_quantities
from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError
from normlab.analysis.projection import ALIVE
from normlab.analysis.quantities import steps_to_accuracy
from normlab.analysis.rates import fastest_rate, largest_alive_rate, largest_usable_rate, widest_sweep
from normlab.figures.bands import BAND
from normlab.figures.speed import learning_rates_figure
from normlab.figures.style import label, number, order
from normlab.pages.comparisons import OVER_SEEDS, spread
from normlab.pages.pictures import Html, Picture, paragraphs, table

COMPARED = ("none", "batch")
"""The networks whose usable learning rates claim C2 compares."""


def sweep(cells: Cells) -> Cells:
    """The runs whose learning rates claim C2 compares: those of the settings with the most rates.

    Where the plain network or BatchNorm has one rate only, those with the shared settings.

    Args:
        cells: of every variant.
    """
    try:
        widest = widest_sweep(cells, COMPARED)
    except NotRunError:
        return dataclasses.replace(cells, variant="")
    return dataclasses.replace(cells, variant=widest[COMPARED[0]][0].variant)


def sweep_picture(swept: Cells) -> Picture:
    """Train accuracy at the end of the plain network and of BatchNorm, by learning rate."""
    final = training_quantities(swept.spec.window)["final_train_accuracy"]
    ends = by_run([cell for found in _compared(swept).values() for cell in found], final.measure)
    return Picture(
        learning_rates_figure(ends, f"{final.label} (%)".replace(", ", ",\n"), ALIVE),
        " ".join([f"{final.not_finite}.", *settings_of(swept), BAND]),
        "Train accuracy at the end, by learning rate",
        [learning_rates_figure, final.function],
    )


def ends_table(swept: Cells) -> Html:
    """Train accuracy at the end of the plain network and of BatchNorm, one column a learning rate.

    Empty where one of them has one rate only.
    """
    final = training_quantities(swept.spec.window)["final_train_accuracy"]
    found = _compared(swept)
    rates = sorted({cell.learning_rate for cells in found.values() for cell in cells})
    rows = []
    for kind, cells in found.items():
        at = {cell.learning_rate: spread(100 * final.measure(cell).values["value"]) for cell in cells}
        rows.append([label(kind), *(at.get(rate, "–") for rate in rates)])
    short = (
        "A network that has not left its first plateau by then counts as one that does not train; C2 takes the largest "
        f"rate that ends above {100 * ALIVE:g} %, also where a smaller one does not."
    )
    rule = f"In percent, {final.label}; {final.not_finite}. {short} {OVER_SEEDS}"
    return table(["", *map(number, rates)], rows, " ".join([rule, *settings_of(swept)])) if rows else Html("")


def _compared(swept: Cells) -> dict[str, list[Cell]]:
    """What claim C2 compares, by normalizer; empty where one of them has fewer than two rates."""
    found = {kind: swept.rates(kind) for kind in COMPARED}
    return found if all(len(cells) > 1 for cells in found.values()) else {}


def settings_of(swept: Cells) -> list[str]:
    """`Settings of these runs: steps=1000.`, nothing for the shared ones."""
    return [f"Settings of these runs: {swept.variant.replace(',', ', ')}."] if swept.variant else []


def rates_table(cells: Cells, accuracy: float) -> Html:
    """One row a normalizer of `analyze.network` that was trained at several rates, of the runs of `sweep`.

    The fastest rate is that of `normlab.analysis.rates.fastest_rate`; the test split takes no part. At the lowest or
    highest rate of the sweep it is only the fastest one tried, and the table says so. Where no rate gets there in half
    of the seeds there is none. A rate is usable in a seed if the run reaches `accuracy`, and the network is alive at
    it if the run ends above twice chance (`normlab.analysis.projection.ALIVE`).

    Args:
        cells: the cells of all rates and variants.
        accuracy: train accuracy, mean of the last `analyze.window` steps, in [0, 1].
    """
    swept, window = sweep(cells), cells.spec.window
    rows = []
    for kind in order([norm for network, norm, _ in swept.all if network == swept.spec.network]):
        found = swept.rates(kind)
        if len(found) < 2:
            continue
        rates = [cell.learning_rate for cell in found]
        fastest = fastest_rate(swept, kind, accuracy)
        steps = steps_to_accuracy(fastest, accuracy, window).values["value"]
        reached = np.isfinite(steps.median())
        usable = largest_usable_rate(found, accuracy, window).values["value"]
        rows.append(
            [
                label(kind),
                ", ".join(map(number, rates)),
                _marked(fastest.learning_rate, rates) if reached else "none",
                spread(steps.dropna()) if reached else "–",
                _largest(usable, max(rates)),
                _largest(largest_alive_rate(found, ALIVE, window).values["value"], max(rates)),
            ]
        )
    if not rows:
        return paragraphs("One learning rate only: no sweep.")
    goal = f"{100 * accuracy:g} %"
    head = ["", "rates", "fastest rate", f"steps to {goal} at it", f"largest that reaches {goal}"]
    head += [f"largest that ends above {100 * ALIVE:g} %"]
    rule = "Median over seeds [least – greatest seed]; ∞: never reached; ≥: the sweep ends there."
    return table(head, rows, " ".join([rule, *settings_of(swept)]))


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
