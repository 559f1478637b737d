"""How often a statement or an assumption of the theory is true: shares of the cases that the study `theory` counted.

A statement about all numbers is refuted by one counterexample. So its number is the largest share of failures of any
seed, without an interval: how many random cases fail says how the cases were drawn. How often an assumption is true in
training is a share by seed like any other quantity.
"""

import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import NotRunError, PerSeed, worst
from normlab.tables.frames import select


def shares(cells: Cells, source: str, statement: str, quantity: str, column: str = "fraction") -> pd.Series:
    """By seed: the share of all cases for which the quantity is true, or the largest value of a summary.

    Checkpoints count at `analyze.network` and `analyze.learning_rate` only.

    Raises:
        NotRunError: the study was not run, or has no such case.
    """
    if not len(cells.theory):
        raise NotRunError("the study theory was not run")
    rows = select(cells.theory, source=source, statement=statement, quantity=quantity)
    if source == "checkpoint":
        rows = select(rows, network=cells.spec.network, learning_rate=cells.spec.learning_rate)
    rows = rows[rows["count"] > 0]
    if not len(rows):
        raise NotRunError(f"no case of {statement}, {quantity} ({source})")
    by_seed = rows.groupby("seed")
    if column == "value":
        return by_seed["value"].max()
    weighted = rows.assign(true=rows["fraction"] * rows["count"]).groupby("seed")
    return weighted["true"].sum() / by_seed["count"].sum()


def failures(cells: Cells, statement: str, quantity: str, source: str = "random") -> PerSeed:
    """The share of cases in which a statement about all numbers is false; the worst seed decides."""
    return worst(1.0 - shares(cells, source, statement, quantity))
