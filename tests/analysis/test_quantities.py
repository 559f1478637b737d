import math

import numpy as np
import pandas as pd
import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError
from normlab.analysis.quantities import (
    at_step,
    final_loss,
    final_test_accuracy,
    final_train_accuracy,
    layer_at_depth,
    mean_train_accuracy,
    phase_median,
    settled,
    step_weights,
    steps_to_accuracy,
    weighted_median,
)
from normlab.tables.rows import Rows


def run(seed: int = 0) -> Rows:
    return Rows({"study": "vgg", "network": "vgg11", "norm_layer": "none", "learning_rate": 0.1, "seed": seed})


def cell(*runs: Rows) -> Cell:
    frame = pd.concat([records.frame() for records in runs])
    return Cell("vgg11", "none", 0.1, frame)


def trained(accuracies: list[float], test: float, diverged_at: float = math.nan, steps: int = 10) -> Rows:
    records = run()
    for step, accuracy in enumerate(accuracies):
        broken = step == diverged_at
        records.add("history", step, {"train_accuracy": accuracy, "loss": math.nan if broken else 1.0})
    records.add("test", 0, {"test_accuracy": 0.1})
    records.add("test", len(accuracies), {"test_accuracy": test})
    records.add("summary", len(accuracies), {"steps": steps, "diverged_at": diverged_at})
    return records


def test_a_run_that_never_reaches_needs_more_than_its_planned_updates() -> None:
    found = steps_to_accuracy(cell(trained([0.2] * 10, 0.2)), 0.9, 1).values.loc[0]
    assert (found["value"], found["low"], found["high"]) == (math.inf, 11.0, math.inf)


def test_a_diverged_run_ends_with_what_its_broken_weights_score() -> None:
    gone = cell(trained([0.5, 0.95, 0.95, 0.95, 0.1], test=0.1, diverged_at=4))
    assert final_test_accuracy(gone).values["value"].loc[0] == 0.1
    assert final_train_accuracy(gone, 2).values["value"].loc[0] == 0.1
    # five recorded steps, five more at 0.1
    expected = (0.5 + 3 * 0.95 + 0.1 + 5 * 0.1) / 10
    assert mean_train_accuracy(gone).values["value"].loc[0] == pytest.approx(expected, rel=1e-12)
    assert final_loss(gone).values["value"].loc[0] == math.inf
    assert steps_to_accuracy(gone, 0.9, 3).values["value"].loc[0] == 4  # it did get there before


def test_a_complete_run_ends_with_its_trailing_mean() -> None:
    whole = cell(trained([0.5] * 8 + [0.8, 1.0], test=0.7))
    assert final_train_accuracy(whole, 2).values["value"].loc[0] == pytest.approx(0.9, rel=1e-12)
    assert final_train_accuracy(whole, 99).values["value"].loc[0] == pytest.approx(0.58, rel=1e-12)  # all there are
    assert mean_train_accuracy(whole).values["value"].loc[0] == pytest.approx(0.58, rel=1e-12)
    assert final_loss(whole).values["value"].loc[0] == 1.0


def test_a_sparse_curve_reaches_at_the_step_of_its_record() -> None:
    records = run()
    for step, accuracy in ((0, 0.1), (100, 0.5), (200, 0.9), (300, 0.8)):
        records.add("history", step, {"train_accuracy": accuracy, "loss": 1.0})
    records.add("summary", 300, {"steps": 300, "diverged_at": math.nan})
    assert steps_to_accuracy(cell(records), 0.9, 1).values["value"].loc[0] == 201  # step 200 is the 201st batch
    assert steps_to_accuracy(cell(records), 0.8, 2).values["value"].loc[0] == 301
    assert mean_train_accuracy(cell(records), 200).values["value"].loc[0] == pytest.approx(0.3, rel=1e-12)


def test_a_window_of_the_area_counts_a_divergence_in_it_only() -> None:
    gone = cell(trained([0.5, 0.9, 0.9, 0.1], test=0.1, diverged_at=3))
    assert mean_train_accuracy(gone, 3).values["value"].loc[0] == pytest.approx(2.3 / 3, rel=1e-12)
    assert mean_train_accuracy(gone, 6).values["value"].loc[0] == pytest.approx((2.4 + 2 * 0.1) / 6, rel=1e-12)


def test_test_accuracy_can_be_read_before_the_end() -> None:
    whole = trained([0.5] * 10, test=0.7)
    whole.add("test", 4, {"test_accuracy": 0.4})
    assert final_test_accuracy(cell(whole), 5).values["value"].loc[0] == 0.4
    assert final_test_accuracy(cell(whole)).values["value"].loc[0] == 0.7


def test_weights_are_the_steps_that_a_probed_step_stands_for() -> None:
    np.testing.assert_allclose(step_weights(np.array([10, 20, 30])), [10, 10, 10])
    np.testing.assert_allclose(step_weights(np.array([1, 2, 10, 30])), [1, 4.5, 14, 20])
    np.testing.assert_allclose(step_weights(np.array([7])), [1])


def test_weighted_median_with_equal_weights_is_the_median() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 8):
        values = rng.normal(size=count)
        assert weighted_median(values, np.full(count, 3.0)) == pytest.approx(np.median(values), rel=1e-15)
    assert weighted_median(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 5.0])) == 9.0
    assert weighted_median(np.array([1.0, math.inf]), np.array([1.0, 1.0])) == math.inf


def test_a_phase_is_open_below_and_closed_above() -> None:
    records = trained([0.5] * 10, 0.5)
    for step in range(11):
        records.add("landscape", step, {"loss_range": float(step), "grad_norm": 1.0})
    found = phase_median(cell(records), "landscape", "loss_range", (0.2, 0.6), step_size=None)
    assert found.values["value"].loc[0] == np.median([3, 4, 5, 6])


def test_a_phase_without_probed_steps_is_unknown_for_that_seed_only() -> None:
    other = Rows({"study": "vgg", "network": "vgg11", "norm_layer": "none", "learning_rate": 0.1, "seed": 1})
    first = trained([0.5] * 10, 0.5)
    for step in (2, 8):
        first.add("landscape", step, {"loss_range": 1.0, "grad_norm": 1.0})
    other.add("history", 0, {"train_accuracy": 0.1, "loss": math.nan})
    other.add("summary", 1, {"steps": 10, "diverged_at": 0})
    other.add("landscape", 0, {"loss_range": 1.0, "grad_norm": 1.0})
    found = phase_median(cell(first, other), "landscape", "loss_range", (0.5, 1.0), step_size=None).values
    assert found["value"].loc[0] == 1.0
    assert (found["low"].loc[1], found["high"].loc[1]) == (-math.inf, math.inf)


def test_nan_of_a_walk_is_overflow_unless_the_gradient_is_zero_or_broken() -> None:
    records = trained([0.5] * 10, 0.5)
    for step, norm in ((1, 2.0), (2, 0.0), (3, math.nan), (4, math.inf)):
        records.add("landscape", step, {"loss_range": math.nan, "grad_norm": norm})
    found = settled(cell(records), "landscape", "loss_range", step_size=None)
    assert list(found["step"]) == [1]
    assert list(found["value"]) == [math.inf]


@pytest.mark.parametrize(("probe", "quantity"), [("shift", "relative_l2"), ("landscape", "gradient_cosine")])
def test_nan_of_what_is_no_walk_or_has_no_size_is_left_out(probe: str, quantity: str) -> None:
    records = run()
    for step, value in ((0, 0.5), (1, math.nan), (2, math.inf)):
        records.add("landscape", step, {"grad_norm": 1.0})
        records.add(probe, step, {quantity: value})
    found = settled(cell(records), probe, quantity)
    assert list(zip(found["step"], found["value"], strict=True)) == [(0, 0.5), (2, math.inf)]


def test_a_value_at_a_step_is_the_last_probed_one_and_not_step_0() -> None:
    records = trained([0.5] * 10, 0.5)
    for step in (0, 3, 8):
        records.add("landscape", step, {"effective_beta": float(step), "grad_norm": 1.0})
    found = at_step(cell(records), "landscape", "effective_beta", 5, step_size=None)
    assert found.values["value"].loc[0] == 3.0
    for step, value in ((0, 0.0), (3, 3.0), (8, 8.0), (99, 8.0)):
        assert (
            at_step(cell(records), "landscape", "effective_beta", step, step_size=None).values.loc[0, "value"] == value
        )
    with pytest.raises(NotRunError, match="steps 1 … 2"):
        at_step(cell(records), "landscape", "effective_beta", 2, step_size=None)
    with pytest.raises(NotRunError, match="steps 1 … 1"):
        at_step(cell(records), "landscape", "effective_beta", 1, step_size=None)
    assert at_step(cell(records), "landscape", "effective_beta", 0, step_size=None).values["value"].loc[0] == 0.0


def test_missing_measurements_name_the_cell() -> None:
    with pytest.raises(NotRunError, match=r"no curvature measurement of stretch in vgg11-none-0\.1"):
        cell(trained([0.5], 0.5)).rows("curvature", "stretch")


def test_the_papers_layer_11_of_13_is_layer_7_of_8() -> None:
    assert layer_at_depth([f"norm{k}" for k in range(1, 14)], 0.846) == "norm11"
    assert layer_at_depth([f"norm{k}" for k in range(1, 9)], 0.846) == "norm7"
    assert layer_at_depth(["norm1"], 0.1) == "norm1"


def test_cells_are_found_by_name_and_rounded_rate() -> None:
    cells = study({("none", 0.1): Kind()}, {("none", 1e-6): Kind()}, seeds=1)
    assert cells.vgg("none", 0.1 * (1 + 1e-9)).name == "vgg11-none-0.1"
    assert cells.deep_linear("none").network == "dln"
    with pytest.raises(NotRunError, match=r"no cell with learning_rate 0\.5"):
        cells.vgg("none", 0.5)
    with pytest.raises(NotRunError, match="no cell with norm_layer l1"):
        cells.vgg("l1")
    with pytest.raises(NotRunError, match="no cell with network dln"):
        study({("none", 0.1): Kind()}, seeds=1).deep_linear("none")
