"""Normalizers beside each other: tables of quantities."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from normlab.analysis.catalog import Quantity, by_normalizer
from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError, PerSeed
from normlab.figures.style import label, order
from normlab.pages.pictures import Html, table
from normlab.pages.verdicts import number as short
from normlab.pages.verdicts import of_seeds
from normlab.specs.analyze import AnalyzeSpec

OVER_SEEDS = "Median over seeds [least – greatest seed]."


def spread(values: pd.Series) -> str:
    """`1.52 [1.40 – 1.66]`: median and range over seeds; ∞ counts, NaN is counted apart; one seed has no range."""
    known = values.dropna()
    if known.empty:
        return "undefined" if len(values) else "–"
    with np.errstate(invalid="ignore"):
        text = short(float(np.median(known)))
    if known.nunique() > 1:
        text += f" [{short(float(known.min()))} – {short(float(known.max()))}]"
    lost = len(values) - len(known)
    return text + (f" ({lost} of {len(values)} seeds undefined)" if lost else "")


def comparison(cells: Sequence[Cell], quantities: Iterable[Quantity], caption: str = OVER_SEEDS) -> Html:
    """A table: one row a quantity with its unit, one column a normalizer; the caption says what ∞ and gaps mean here.

    Args:
        cells: one a normalizer.
        quantities: the rows.
        caption: the table's, before the rules for what is not finite.
    """
    kinds = order([cell.norm_layer for cell in cells])
    rows, rules = [], []
    for quantity in quantities:
        found = by_normalizer(cells, quantity.measure)
        name = f"{quantity.label} ({quantity.unit})" if quantity.unit else quantity.label
        rows.append([name, *(spread(found[kind].dropna()) if kind in found else "–" for kind in kinds)])
        if not np.isfinite(found.to_numpy(dtype=float)).all():
            rules.append(quantity.not_finite)
    if not kinds:
        return Html("")  # the page says in words that nothing was run
    return table(["", *map(label, kinds)], rows, " ".join([caption, *(f"{rule}." for rule in dict.fromkeys(rules))]))


def ratio_table(cells: Sequence[Cell], quantities: Iterable[Quantity], kinds: Sequence[str], *, under: str) -> Html:
    """Every quantity of `kinds` compared with that of `under`, seed by seed; nothing where none of them was run."""
    shown = [kind for kind in kinds if any(cell.norm_layer == kind for cell in cells)]
    if not shown:
        return Html("")
    rows = []
    for quantity in quantities:
        folds = [fold(quantity, cells, kind, under) for kind in shown]
        rows.append([quantity.label, *("–" if found is None else spread(found.values["value"]) for found in folds)])
    caption = "Ratio within each seed, median over seeds [least – greatest seed]; 1 means equal."
    return table([f"÷ {label(under)}", *map(label, shown)], rows, caption)


def fold(quantity: Quantity, cells: Sequence[Cell], over: str, under: str) -> PerSeed | None:
    """The quantity of the normalizer `over` against that of `under`; None where either was not measured."""
    of = {cell.norm_layer: cell for cell in cells}
    if over not in of or under not in of:
        return None
    try:
        return quantity.against(of[over], of[under])
    except NotRunError:
        return None


def level(spec: AnalyzeSpec) -> str:
    """The nominal level of all intervals, such as `95 %`."""
    return f"{100 * spec.confidence:g} %"


def fitted_sentence(cells: Sequence[Cell], quantity: Quantity) -> str:
    """From which step on a network has fitted its training data, in how many seeds; empty if none has.

    Args:
        cells: one a normalizer.
        quantity: steps to an accuracy.
    """
    found = by_normalizer(cells, quantity.measure)
    reached = []
    for kind in order(found):
        steps = found[kind].dropna()
        there = steps[np.isfinite(steps)]
        if len(there):
            many = of_seeds(len(steps))
            seeds = f"{len(there)} of {many}" if len(there) < len(steps) else f"all {many}" if len(steps) > 1 else many
            reached.append(f"{label(kind)} from step {there.max():,.0f} on in {seeds}")
    if not reached:
        return ""
    accuracy = quantity.label.removeprefix("steps to ")
    return (
        f"Train accuracy is at least {accuracy} for {', for '.join(reached)}: after that loss and gradient vanish with "
        "the errors, and what is small then says little about the network."
    )
