"""The scalars of `reports/metrics.json`: one flat mapping a cell, and the count of verdicts by group.

A number that is not finite is null, and the key `<name>_reason` beside it says why. Accuracies are in [0, 1].
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from normlab.analysis.catalog import Quantity, named
from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError
from normlab.analysis.verdicts import verdict_counts

_WALKS = ("loss_range", "gradient_distance", "effective_beta", "loss_range_up_to_rate", "beta_up_to_rate", "stretch")
OF_TRAINING = ("final_test_accuracy", "final_train_accuracy", "mean_train_accuracy")
REACHED = ("50_percent", "60_percent", "80_percent", "90_percent")
OF_ALL = ("final_loss", *(f"{phase}_{walk}" for phase in ("early", "late") for walk in _WALKS))


def cell_metrics(cell: Cell, quantities: Mapping[str, Quantity]) -> dict[str, Any]:
    """All scalars of a cell, over its seeds: means of accuracies, medians of everything that may be infinite.

    Args:
        cell: the cell.
        quantities: by name, from `normlab.analysis.catalog.named`.
    """
    values: dict[str, Any] = {"seeds": len(cell.seeds), "diverged_seeds": int(cell.diverged.sum())}
    if cell.has("history", "train_accuracy"):
        for name in OF_TRAINING:
            values |= _entry(name, cell, quantities)
        for level in REACHED:
            values |= _entry(f"steps_to_{level}", cell, quantities)
            steps = quantities[f"steps_to_{level}"].measure(cell).values["value"]
            values[f"reached_{level}"] = int(np.isfinite(steps).sum())
    for name in OF_ALL:
        values |= _entry(name, cell, quantities)
    return values


def _entry(name: str, cell: Cell, quantities: Mapping[str, Quantity]) -> dict[str, Any]:
    """The scalar of one quantity; null with its reason where there is none."""
    quantity = quantities[name]
    try:
        found = quantity.measure(cell).values["value"].to_numpy()
    except NotRunError as error:
        return {name: None, f"{name}_reason": str(error)}
    number = float(np.mean(found) if quantity.center == "mean" else np.median(found))
    if math.isfinite(number):
        return {name: float(f"{number:.8g}")}
    return {name: None, f"{name}_reason": _reason(found)}


def _reason(found: np.ndarray) -> str:
    unknown, infinite = int(np.isnan(found).sum()), int(np.isinf(found).sum())
    parts = [f"unknown for {unknown}"] if unknown else []
    parts += [f"infinite (never reached, diverged or overflowed) for {infinite}"] if infinite else []
    return f"{', '.join(parts)} of {len(found)} seeds"


def claim_metrics(claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many claims of each group have which verdict."""
    return {
        group.replace(" ", "_"): {verdict_key(verdict): count for verdict, count in counts.items()}
        for group, counts in verdict_counts(claims).items()
    }


def verdict_key(verdict: str) -> str:
    """A verdict as the name of a metric: `not reproduced here` → `not_reproduced_here`."""
    return verdict.replace(" ", "_").replace("'", "")


def all_metrics(cells: Cells, claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of metrics.json: `claims`, and `cells` by name."""
    quantities = named(cells.spec.window)
    every = [cell for of in cells.variants for cell in of.all.values()]
    return {
        "claims": claim_metrics(claims),
        "cells": {cell.name: cell_metrics(cell, quantities) for cell in every},
    }
