"""How often a statement or an assumption of the theory is true: shares of the cases that the study `theory` counted.

A statement about all numbers is refuted by one counterexample. So its number is the largest share of failures of any
seed, without an interval: how many random cases fail says how the cases were drawn. How often an assumption is true in
training is a share by seed like any other quantity.
"""

import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import NotRunError, PerSeed, worst
from normlab.tables.frames import select


def cases(cells: Cells, source: str, **conditions: object) -> pd.DataFrame:
    """The counted cases of a source: `random` numbers, or units of trained networks at a `checkpoint`.

    Checkpoints count at `analyze.network` and `analyze.learning_rate` only. Columns as in the table of the study, and
    `true`, the number of cases for which the quantity is true.

    Raises:
        NotRunError: the study was not run.
    """
    if not len(cells.theory):
        raise NotRunError("the study theory was not run")
    rows = select(cells.theory, source=source, **conditions)
    if source == "checkpoint":
        rows = select(rows, network=cells.spec.network, learning_rate=cells.spec.learning_rate)
    rows = rows[rows["count"] > 0]
    return rows.assign(true=rows["fraction"] * rows["count"])


def shares(cells: Cells, source: str, statement: str, quantity: str, column: str = "fraction") -> pd.Series:
    """By seed: the share of all cases for which the quantity is true, or the largest value of a summary.

    Raises:
        NotRunError: the study was not run, or has no such case.
    """
    rows = cases(cells, source, statement=statement, quantity=quantity)
    if not len(rows):
        raise NotRunError(f"no case of {statement}, {quantity} ({source})")
    by_seed = rows.groupby("seed")
    return by_seed["value"].max() if column == "value" else by_seed["true"].sum() / by_seed["count"].sum()


def shares_of_all(cells: Cells, source: str) -> pd.DataFrame:
    """The share of cases by statement, quantity and step, over all sizes, layers and seeds; empty without the study.

    Columns statement, quantity, step, cases, failures, share, low, high; `low` and `high` are the least and greatest
    share of a single row of the study's table (one size or layer of one seed).
    """
    try:
        rows = cases(cells, source)
    except NotRunError:
        return pd.DataFrame(columns=["statement", "quantity", "step", "cases", "failures", "share", "low", "high"])
    groups = rows[rows["fraction"].notna()].groupby(["statement", "quantity", "step"], observed=True)
    true, low, high = groups["true"].sum(), groups["fraction"].min(), groups["fraction"].max()
    counted = groups["count"].sum()
    table = pd.DataFrame({"cases": counted, "failures": counted - true, "share": true / counted, "low": low})
    return table.assign(high=high).reset_index()


def failures(cells: Cells, statement: str, quantity: str, source: str = "random") -> PerSeed:
    """The share of cases in which a statement about all numbers is false; the worst seed decides."""
    return worst(1.0 - shares(cells, source, statement, quantity))
