"""The table of the theory study: one row a statement × quantity, over many cases."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

COLUMNS = (
    "source",
    "network",
    "norm_layer",
    "learning_rate",
    "variant",
    "seed",
    "step",
    "layer",
    "samples",
    "statement",
    "quantity",
    "count",
    "fraction",
    "value",
)
"""`source` is "random" or "checkpoint"; `samples` is m. A row is either a share (`fraction` of the `count` cases for
which the quantity is true, `value` NaN) or a summary (`value` over the `count` cases, `fraction` NaN). With `count` 0
both are
NaN. Random rows have the network, variant and layer "", the learning rate NaN and the step 0."""

_TYPES = {
    "learning_rate": "float64",
    "seed": "int64",
    "step": "int64",
    "samples": "int64",
    "count": "int64",
    "fraction": "float64",
    "value": "float64",
}


class Tally:
    """Collects truth values and numbers by (statement, quantity), and summarizes them into rows."""

    def __init__(self) -> None:
        self._shares: dict[tuple[str, str], list[bool]] = {}
        self._numbers: dict[tuple[str, str, str], list[float]] = {}

    def share(self, statement: str, quantities: Mapping[str, bool], *, given: bool = True) -> None:
        """One case of each quantity; with `given` false it only makes sure that there is a row."""
        for quantity, true in quantities.items():
            cases = self._shares.setdefault((statement, quantity), [])
            if given:
                cases.append(bool(true))

    def number(self, statement: str, quantity: str, value: float, summary: str = "median") -> None:
        """One case of a number that is summarized by its "median" or "max"."""
        self._numbers.setdefault((statement, quantity, summary), []).append(value)

    def rows(self) -> list[dict[str, Any]]:
        """Rows with statement, quantity, count, fraction and value."""
        rows = []
        for (statement, quantity), cases in self._shares.items():
            fraction = sum(cases) / len(cases) if cases else math.nan
            rows.append(_row(statement, quantity, len(cases), fraction, math.nan))
        for (statement, quantity, summary), values in self._numbers.items():
            value = max(values) if summary == "max" else float(pd.Series(values).median())
            rows.append(_row(statement, quantity, len(values), math.nan, value))
        return rows


def build_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows as a frame with the columns `COLUMNS`."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(_TYPES)


def _row(statement: str, quantity: str, count: int, fraction: float, value: float) -> dict[str, Any]:
    return {"statement": statement, "quantity": quantity, "count": count, "fraction": fraction, "value": value}
