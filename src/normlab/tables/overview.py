"""What DVC's own views show of the results: ten numbers to compare, and a few curves by normalizer.

The full numbers are in metrics.json and the tables. Both follow `analyze.network` at `analyze.learning_rate`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from normlab.specs.analyze import AnalyzeSpec
from normlab.tables.frames import same, select

NUMBERS = {
    "test_accuracy": "final_test_accuracy",
    "train_accuracy": "mean_train_accuracy",
    "loss_range": "early_loss_range",
    "gradient_distance": "early_gradient_distance",
    "effective_beta": "early_effective_beta",
}
"""The numbers of a cell in metrics.json that are compared at a glance."""
COMPARED = ("none", "batch")
CURVES = {
    "training": ("history", {"train_accuracy": "accuracy", "loss": "loss"}),
    "landscape": ("landscape", {"gradient_distance_high": "gradient_distance", "effective_beta": "effective_beta"}),
}
"""File → the probe, and the quantities with their columns."""
MAX_STEPS = 200


def summary(metrics: Mapping[str, Any], spec: AnalyzeSpec) -> dict[str, dict[str, float]]:
    """Ten numbers of metrics.json, of the plain network and of BatchNorm: `{"test_accuracy": {"none": …, "batch": …}}`.

    A number that is missing there or not finite is left out.

    Args:
        metrics: the content of metrics.json.
        spec: section `analyze`.
    """
    cells = {name: metrics["cells"].get(f"{spec.network}-{name}-{spec.learning_rate}", {}) for name in COMPARED}
    found = {
        short: {name: cell[long] for name, cell in cells.items() if cell.get(long) is not None}
        for short, long in NUMBERS.items()
    }
    return {name: values for name, values in found.items() if values}


def curves(measurements: pd.DataFrame, spec: AnalyzeSpec, name: str) -> pd.DataFrame:
    """Medians over seeds by step, a column `normalizer`, thinned to `MAX_STEPS` steps; what is not finite is empty.

    Per-step series of training are first averaged over the last `analyze.window` steps of each seed.

    Args:
        measurements: the table of all measurements.
        spec: section `analyze`.
        name: a key of `CURVES`.
    """
    probe, columns = CURVES[name]
    rows = select(measurements, network=spec.network, probe=probe, quantity=list(columns), step_size=None, layer="")
    rows = rows[same(rows["learning_rate"], spec.learning_rate)]
    found = []
    for normalizer, part in rows.groupby("norm_layer", observed=True, sort=False):
        table = part.pivot_table(index=["seed", "step"], columns="quantity", values="value", observed=True)
        if probe == "history":
            table = table.groupby("seed").transform(lambda seed: seed.rolling(spec.window, min_periods=1).mean())
        steps = table.groupby("step").median().rename(columns=columns).replace([np.inf, -np.inf], np.nan)
        thinned = steps.iloc[:: max(1, math.ceil(len(steps) / MAX_STEPS))].reset_index()
        thinned.insert(1, "normalizer", normalizer)
        found.append(thinned)
    shown = ["step", "normalizer", *columns.values()]
    return pd.concat(found)[shown] if found else pd.DataFrame(columns=shown)


def write_curves(measurements: pd.DataFrame, spec: AnalyzeSpec, folder: Path) -> None:
    """`<name>.csv` for each of `CURVES`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CURVES:
        curves(measurements, spec, name).to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
