"""The scalars of `reports/metrics.json`: one flat mapping a cell, and the count of verdicts.

A number that is not finite is null, and the key `<name>_reason` beside it says why. Accuracies are in [0, 1].
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed
from normlab.analysis.quantities import (
    final_loss,
    final_test_accuracy,
    final_train_accuracy,
    mean_train_accuracy,
    phase_median,
    steps_to_accuracy,
)
from normlab.analysis.rules import VERDICTS
from normlab.analysis.walks import beta_up_to_rate, range_up_to_rate

ACCURACIES = (0.5, 0.6, 0.8, 0.9)
PHASES = {"early": (0.0, 0.4), "late": (0.4, 1.0)}
WALK = {
    "loss_range": "loss_range",
    "gradient_distance": "gradient_distance_high",
    "effective_beta": "effective_beta",
}


def cell_metrics(cell: Cell, window: int) -> dict[str, Any]:
    """All scalars of a cell, over its seeds: means of accuracies, medians of everything that may be infinite."""
    values: dict[str, Any] = {"seeds": len(cell.seeds), "diverged_seeds": int(cell.diverged.sum())}
    if cell.has("history", "train_accuracy"):
        _add(values, "final_test_accuracy", np.mean, partial(final_test_accuracy, cell))
        _add(values, "final_train_accuracy", np.mean, partial(final_train_accuracy, cell, window))
        _add(values, "mean_train_accuracy", np.mean, partial(mean_train_accuracy, cell))
        for accuracy in ACCURACIES:
            percent = round(100 * accuracy)
            steps = partial(steps_to_accuracy, cell, accuracy, window)
            _add(values, f"steps_to_{percent}_percent", np.median, steps)
            values[f"reached_{percent}_percent"] = int(np.isfinite(steps().values["value"]).sum())
    _add(values, "final_loss", np.median, partial(final_loss, cell))
    for name, phase in PHASES.items():
        for short, quantity in WALK.items():
            walk = partial(phase_median, cell, "landscape", quantity, phase, step_size=None)
            _add(values, f"{name}_{short}", np.median, walk)
        _add(values, f"{name}_loss_range_up_to_rate", np.median, partial(range_up_to_rate, cell, phase))
        _add(values, f"{name}_beta_up_to_rate", np.median, partial(beta_up_to_rate, cell, phase))
        _add(values, f"{name}_stretch", np.median, partial(phase_median, cell, "curvature", "stretch", phase))
    return values


def _add(
    values: dict[str, Any], name: str, reduce: Callable[[np.ndarray], float], measure: Callable[[], PerSeed]
) -> None:
    try:
        found = measure().values["value"].to_numpy()
    except NotRunError as error:
        values[name], values[f"{name}_reason"] = None, str(error)
        return
    number = float(reduce(found))
    if math.isfinite(number):
        values[name] = float(f"{number:.8g}")
    else:
        values[name] = None
        values[f"{name}_reason"] = _reason(found)


def _reason(found: np.ndarray) -> str:
    unknown, infinite = int(np.isnan(found).sum()), int(np.isinf(found).sum())
    parts = [f"unknown for {unknown}"] if unknown else []
    parts += [f"infinite (never reached, diverged or overflowed) for {infinite}"] if infinite else []
    return f"{', '.join(parts)} of {len(found)} seeds"


def claim_metrics(claims: Sequence[Mapping[str, Any]], confidence: float) -> dict[str, Any]:
    """How many claims have which verdict, and how many intervals are read together."""
    intervals = sum(
        part["decides"] and part["verdict"] != "not run" and None not in part["interval"]
        for claim in claims
        for part in claim["parts"]
    )
    return {
        **{verdict.replace(" ", "_"): sum(claim["verdict"] == verdict for claim in claims) for verdict in VERDICTS},
        "deciding_intervals": intervals,
        "expected_misses": round(intervals * (1 - confidence), 2),
    }


def all_metrics(cells: Cells, claims: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of metrics.json: `claims`, and `cells` by name."""
    return {
        "claims": claim_metrics(claims, cells.spec.confidence),
        "cells": {
            cell.name: cell_metrics(cell, cells.spec.window) for of in cells.variants for cell in of.all.values()
        },
    }
