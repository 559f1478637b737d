"""The paper's curves as cells, so that the functions that measure a claim measure them too."""

import dataclasses
import math

import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import NotRunError, PerSeed, TooFewError
from normlab.analysis.parts import ClaimFunction
from normlab.analysis.rules import Claim
from normlab.analysis.statistics import Interval
from normlab.paper.rows import LEARNING_RATE, NETWORK, paper_rows
from normlab.specs.analyze import AnalyzeSpec
from normlab.tables.frames import combine


def paper_cells(claim: Claim, spec: AnalyzeSpec) -> Cells | None:
    """The curves of a claim's figures; None for a claim that the paper makes in words alone.

    Its accuracies are those of single minibatches every 100 steps, and so they are read: a window of one.
    """
    if not claim.paper.figures:
        return None
    of_paper = dataclasses.replace(
        spec,
        network=NETWORK,
        window=1,
        learning_rate=LEARNING_RATE["vgg"],
        dln_learning_rate=LEARNING_RATE["dln"],
    )
    return Cells(combine([paper_rows(claim.paper.figures)]), pd.DataFrame(), of_paper)


def paper_numbers(claim: Claim, function: ClaimFunction, spec: AnalyzeSpec) -> dict[str, Interval]:
    """The number of every part that the paper's curves have: one run, so one point (or the bounds of one)."""
    curves = paper_cells(claim, spec)
    found = {}
    for name, measure in (function(curves, **claim.settings) if curves is not None else {}).items():
        try:
            estimate = measure()
            number = estimate.interval(spec).estimate
        except (NotRunError, TooFewError):
            continue
        low = high = number
        if isinstance(estimate, PerSeed):  # a threshold never reached has bounds and no number
            low, high = (float(estimate.values[end].iloc[0]) for end in ("low", "high"))
        if not math.isnan(low):
            found[name] = Interval(number, low, high)
    return found
