import dataclasses

import numpy as np
import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.estimates import NotRunError
from normlab.analysis.windows import as_phase, band_over, fold, layer_folds, median_in, shortened, uncovered

WINDOW = (100, 6000)


def cell(kind: Kind, norm_layer: str = "none"):
    return study({(norm_layer, 0.1): kind}, seeds=2).vgg(norm_layer)


def band(one, window):
    return median_in(one, "landscape", "loss_range_steps", window, step_size=None)


@pytest.mark.parametrize("planned", [15_000, 7, 1501, 99_999])
def test_a_window_becomes_a_phase_that_holds_its_steps_and_no_others(planned: int) -> None:
    one = cell(Kind(steps=planned))
    low, high = (edge * planned for edge in as_phase(one, (100, 6000)))
    assert low < 100 < 6000 <= high
    assert low >= 99
    assert high < 6001


def test_runs_that_end_early_are_compared_as_far_as_they_go() -> None:
    long, short = cell(Kind()), cell(Kind(steps=1500), "batch")
    assert shortened((long, short), WINDOW) == (100, 1500)
    assert uncovered((long, short), WINDOW) == "1,500 of 6,000 steps"
    assert uncovered((long, cell(Kind(steps=5000))), WINDOW) == ""


def test_a_seed_that_diverged_is_the_roughest_whatever_it_showed_before() -> None:
    gone = cell(Kind(rough=0.01, diverged_at=3500, diverged_seed=1))
    values = band(gone, WINDOW).values["value"]
    assert values.tolist() == [0.01, np.inf]
    before = band(gone, (100, 3000)).values["value"]  # it had not diverged yet
    assert before.tolist() == [0.01, 0.01]


def test_all_seeds_diverged_before_the_window_is_a_result_and_no_probe_is_not() -> None:
    gone = cell(Kind(diverged_at=150))
    assert band(gone, (1000, 6000)).values["value"].tolist() == [np.inf, np.inf]
    with pytest.raises(NotRunError, match="no probed step"):
        band(cell(Kind()), (1, 50))


def test_a_fold_is_a_ratio_over_the_steps_that_both_have() -> None:
    found = fold(cell(Kind(rough=3.0)), cell(Kind(steps=1500)), WINDOW, band)
    assert found.values["value"].tolist() == [3.0, 3.0]
    assert (found.kind, found.lacks) == ("ratio", "1,500 of 6,000 steps")


def test_the_band_has_no_base_point_in_it() -> None:
    one = cell(Kind(rough=5.0, near=2.0))
    assert band_over(one, WINDOW, (0.5, 1.0)).values["value"].tolist() == pytest.approx([2.0, 2.0], rel=1e-12)
    assert band_over(one, WINDOW, (1.0, 2.0, 4.0)).values["value"].tolist() == pytest.approx([3.0, 3.0], rel=1e-12)


def test_layers_are_averaged_in_the_window_alone() -> None:
    top, bottom = cell(Kind(move=3.0)), cell(Kind(), "batch")
    folds = layer_folds(top, bottom, "activations", "mean_abs_change", WINDOW)
    assert folds.shape == (2, 5)
    assert (folds == 3.0).all(axis=None)
    with pytest.raises(NotRunError, match="no layer of activations"):
        layer_folds(top, bottom, "activations", "mean_abs_change", WINDOW, layers=())
    with pytest.raises(NotRunError, match="no seed with a probed step"):
        layer_folds(top, bottom, "activations", "mean_abs_change", (1, 50))


def test_without_a_summary_the_history_says_who_diverged() -> None:
    cells = study({("none", 0.1): Kind(diverged_at=3500, diverged_seed=0)}, seeds=2)
    bare = dataclasses.replace(cells, measurements=cells.measurements[cells.measurements["probe"] != "summary"])
    assert band(bare.vgg("none"), (100, 3000)).values["value"].tolist() == [np.inf, 1.0]
