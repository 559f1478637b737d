"""Two networks beside each other in a sentence for people: both numbers, how they compare, and how sure that is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from normlab.analysis.catalog import Quantity
from normlab.analysis.cells import Cell
from normlab.analysis.estimates import PerSeed
from normlab.figures.style import label
from normlab.pages.comparisons import fold, spread
from normlab.pages.verdicts import number as short
from normlab.pages.verdicts import of_seeds
from normlab.specs.analyze import AnalyzeSpec


def told(
    quantity: Quantity,
    cells: Sequence[Cell],
    spec: AnalyzeSpec,
    text: str,
    *,
    over: str = "none",
    under: str = "batch",
    percent: bool = False,
) -> str:
    """The sentence `text` with both networks' numbers, then their comparison seed by seed; empty if one was not run.

    Args:
        quantity: what is compared.
        cells: one a normalizer.
        spec: the level of the interval.
        text: with `{over}` and `{under}` (the networks' names), `{a}` and `{b}` (their numbers).
        over: the normalizer that comes first.
        under: the one that it is compared with.
        percent: show numbers in [0, 1] as percent.
    """
    found = fold(quantity, cells, over, under)
    if found is None:
        return ""
    of = {cell.norm_layer: cell for cell in cells}
    a, b = (amount(quantity.measure(of[kind]).values["value"], quantity.unit, percent) for kind in (over, under))
    names = {"over": named_in_text(over), "under": named_in_text(under)}
    start = text.format(a=a, b=b, **names)
    return f"{start[:1].upper()}{start[1:]}: {compared(found, spec, quantity.signed, names['over'])}."


def named_in_text(norm_layer: str) -> str:
    """The network of a normalizer as a sentence calls it."""
    return "the plain network" if norm_layer == "none" else label(norm_layer)


def amount(values: pd.Series, unit: str, percent: bool = False) -> str:
    """The median over seeds [least – greatest]; of updates that were not enough, in words."""
    known = values.dropna()
    if unit == "updates":
        there = known[np.isfinite(known)]
        if there.empty:
            return "more updates than were made"
        lost = len(known) - len(there)
        ends = f" [{there.min():,.0f} – {there.max():,.0f}]" if there.nunique() > 1 else ""
        return f"{there.median():,.0f}{ends} updates{f' (in {len(there)} of {len(known)} seeds)' if lost else ''}"
    return f"{spread(100 * values)} %" if percent else spread(values)


def compared(found: PerSeed, spec: AnalyzeSpec, signed: bool, over: str) -> str:
    """`3.5 times as much with the plain network [3.4, 3.75], more in 5 of 5 seeds`, or what is open.

    Args:
        found: the ratio of every seed, or the difference of a signed quantity.
        spec: the level of the interval.
        signed: whether it is a difference.
        over: the name of the network that is on top.
    """
    values = found.values["value"]
    if values.isna().all():
        return "neither can be compared in any seed"
    neutral = 0.0 if signed else 1.0
    up, down = ("higher", "lower") if signed else ("more", "less")
    counts = {up: int((values > neutral).sum()), down: int((values < neutral).sum())}
    word = up if counts[up] >= counts[down] else down
    seeds = (
        f"{word} in {counts[word]} of {of_seeds(found.seeds)}" if counts[word] else f"equal in {of_seeds(found.seeds)}"
    )
    interval = found.interval(spec)
    ends = f" [{short(interval.low)}, {short(interval.high)}]" if interval.decides else ""
    times = "" if signed else " times as much"
    size = f"{short(interval.estimate)}{times}{ends} with {over}, " if np.isfinite(interval.estimate) else ""
    size = f"a difference of {size}" if signed and size else size
    if not interval.decides:
        return f"{size}{seeds}, which are too few to decide"
    sure = interval.low > neutral or interval.high < neutral
    return f"{size}{seeds}" if sure else f"{size}{seeds}; the interval leaves open which has more"
