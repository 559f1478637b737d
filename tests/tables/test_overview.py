"""What DVC's views show: ten numbers of metrics.json, and medians over seeds as CSV."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from normlab.specs.analyze import AnalyzeSpec
from normlab.tables.overview import COMPARED, MAX_STEPS, NUMBERS, curves, summary, write_curves
from normlab.tables.rows import Rows

SPEC = AnalyzeSpec(("training",), "vgg11", 0.1, 1e-6, 3, 0.95, 100, 0)


def _rows(norm_layer: str, seed: int, values: list[float], rate: float = 0.1, batch: int = 0) -> pd.DataFrame:
    rows = Rows({"study": "vgg", "network": "vgg11", "norm_layer": norm_layer, "learning_rate": rate, "seed": seed})
    for step, value in enumerate(values):
        rows.add("history", step, {"loss": value, "train_accuracy": value / 10, "grad_norm": 1.0})
        rows.add("landscape", step, {"effective_beta": value, "gradient_distance_high": value}, batch=batch)
        rows.add("landscape", step, {"beta": 7.0}, step_size=0.1)
    return rows.frame()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    parts = [_rows("none", seed, [1.0 * seed, 2.0, 6.0]) for seed in range(3)]
    parts += [_rows("batch", 0, [5.0, math.inf, math.nan]), _rows("batch", 0, [99.0] * 3, rate=0.5)]
    return pd.concat([*parts, _rows("none", 3, [99.0] * 3, batch=1).query("probe == 'landscape'")])


def test_the_landscape_is_a_median_over_seeds_of_training_s_own_batch(table: pd.DataFrame) -> None:
    found = curves(table, SPEC, "landscape")
    assert list(found.columns) == ["step", "normalizer", "gradient_distance", "effective_beta"]
    plain = found[found["normalizer"] == "none"]
    assert plain["step"].tolist() == [0, 1, 2]
    assert plain["effective_beta"].tolist() == [1.0, 2.0, 6.0]
    normalized = found[found["normalizer"] == "batch"]["effective_beta"]
    assert normalized.iloc[0] == 5.0  # the other rate's 99 is not among them
    assert not np.isfinite(normalized.iloc[1:]).any()


def test_training_is_averaged_over_the_window_of_each_seed_first(table: pd.DataFrame) -> None:
    plain = curves(table, SPEC, "training").query("normalizer == 'none'")
    assert plain["loss"].tolist() == [1.0, 1.5, 3.0]  # of seed 1: 1, (1 + 2)/2, (1 + 2 + 6)/3
    assert plain["accuracy"].tolist() == pytest.approx([0.1, 0.15, 0.3])


def test_long_curves_are_thinned_and_files_hold_no_infinity(table: pd.DataFrame, tmp_path: Path) -> None:
    long = _rows("none", 0, [1.0] * (3 * MAX_STEPS + 1))
    assert len(curves(long, SPEC, "training")) <= MAX_STEPS
    write_curves(table, SPEC, tmp_path)
    lines = (tmp_path / "landscape.csv").read_text().splitlines()
    assert lines[0] == "step,normalizer,gradient_distance,effective_beta"
    assert "1,batch,," in lines
    assert "inf" not in "".join(lines)
    write_curves(table.iloc[:0], SPEC, tmp_path)
    assert (tmp_path / "training.csv").read_text() == "step,normalizer,accuracy,loss\n"


def test_the_summary_is_ten_numbers_of_the_compared_cells() -> None:
    cell = {long: float(place) for place, long in enumerate(NUMBERS.values())}
    metrics = {"cells": {f"vgg11-{name}-0.1": cell | {"seeds": 2} for name in ("none", "batch", "l1")}}
    found = summary(metrics, SPEC)
    assert sum(map(len, found.values())) == 10
    assert found["effective_beta"] == dict.fromkeys(COMPARED, 4.0)
    metrics["cells"]["vgg11-none-0.1"]["early_effective_beta"] = None
    assert summary(metrics, SPEC)["effective_beta"] == {"batch": 4.0}
    assert summary({"cells": {}}, SPEC) == {}
