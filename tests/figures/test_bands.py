import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures.drawn import named, names

from normlab.figures.bands import (
    MOST_TRIANGLES,
    draw_band,
    guide,
    mark_non_finite,
    non_finite_note,
    over_seeds,
    overlay_paper_curve,
)
from normlab.paper.curves import paper_curve

# the value of seed s at step t is 10·t + 3^s
SEEDS = (0, 1, 2)


def frame(steps: int = 6) -> pd.DataFrame:
    rows = [("batch", 0.1, seed, step, 10.0 * step + 3.0**seed) for seed in SEEDS for step in range(steps)]
    return pd.DataFrame(rows, columns=["norm_layer", "learning_rate", "seed", "step", "value"])


def panel():
    return Figure().subplots()


def test_median_least_and_greatest_seed() -> None:
    band = over_seeds(frame())
    np.testing.assert_array_equal(band["center"], 10.0 * np.arange(6) + 3)
    np.testing.assert_array_equal(band["low"], 10.0 * np.arange(6) + 1)
    np.testing.assert_array_equal(band["high"], 10.0 * np.arange(6) + 9)
    assert not band["non_finite"].any()


def test_smoothing_averages_a_seed_over_the_present_and_earlier_steps_before_the_median() -> None:
    band = over_seeds(frame(), window=3)
    assert band["center"].tolist()[:4] == [3.0, 8.0, 13.0, 23.0]  # means of 1, 2, 3, 3 values


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_non_finite_values_are_counted_and_take_no_part(bad: float) -> None:
    table = frame()
    table.loc[(table["seed"] == 1) & (table["step"] == 2), "value"] = bad
    band = over_seeds(table).set_index("step")
    assert band.loc[2, "non_finite"] == 1
    assert band.loc[2, "center"] == 20 + (1 + 9) / 2
    assert band["non_finite"].sum() == 1


def test_a_step_without_any_finite_seed_has_no_median() -> None:
    table = frame()
    table.loc[table["step"] == 4, "value"] = np.inf
    band = over_seeds(table).set_index("step")
    assert band.loc[4, "non_finite"] == 3
    assert np.isnan(band.loc[4, "center"])


def test_runs_that_end_early_are_not_taken_for_non_finite() -> None:
    table = frame()
    table = table[(table["seed"] != 2) | (table["step"] < 3)]
    assert over_seeds(table)["non_finite"].sum() == 0


def test_two_cells_in_one_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="duplicate"):
        over_seeds(pd.concat([frame(), frame()]))


def test_the_line_is_the_median_and_the_band_its_range() -> None:
    ax = panel()
    draw_band(ax, frame(), "batch", factor=100)
    np.testing.assert_array_equal(named(ax, "line-batch").get_ydata(), 100 * (10.0 * np.arange(6) + 3))
    edges = named(ax, "band-batch").get_paths()[0].vertices
    assert edges[:, 1].min() == 100 * 1.0
    assert edges[:, 1].max() == 100 * 59.0


def test_a_smoothed_line_comes_with_the_raw_one() -> None:
    ax = panel()
    draw_band(ax, frame(), "batch", window=3)
    np.testing.assert_array_equal(named(ax, "raw-batch").get_ydata(), 10.0 * np.arange(6) + 3)
    assert named(ax, "line-batch").get_ydata()[3] == 23.0


def test_one_seed_has_no_band() -> None:
    ax = panel()
    draw_band(ax, frame()[frame()["seed"] == 0], "batch")
    assert names(ax) == {"line-batch"}


def test_non_finite_values_are_triangles_on_the_upper_edge() -> None:
    ax, table = panel(), frame()
    table.loc[table["step"] == 4, "value"] = np.inf
    draw_band(ax, table, "batch")
    marks = named(ax, "non-finite-batch")
    assert marks.get_marker() == "^"
    assert marks.get_xdata().tolist() == [4]
    assert marks.get_transform() == ax.get_xaxis_transform()  # y in units of the panel: 1 is the upper edge
    assert marks.get_ydata().tolist() == [1.0]


def test_a_run_that_stays_non_finite_has_a_few_triangles_from_first_to_last() -> None:
    ax = panel()
    mark_non_finite(ax, np.arange(100, 1100), "none")
    places = named(ax, "non-finite-none").get_xdata()
    assert len(places) == MOST_TRIANGLES
    assert (places[0], places[-1]) == (100, 1099)


def test_the_caption_says_how_many_runs_are_not_finite() -> None:
    table = frame()
    assert "none here" in non_finite_note(table)
    table.loc[(table["step"] > 3) & (table["seed"] > 0), "value"] = np.nan
    assert non_finite_note(table).endswith("here: BatchNorm 2 runs.")


def test_the_paper_is_thin_dashed_and_ends_with_our_range() -> None:
    ax = panel()
    assert overlay_paper_curve(ax, 4, ["batch"], "effective_beta", learning_rate=0.1, last_step=1000)
    line = named(ax, "paper-batch-effective_beta")
    curve = paper_curve(4, "batch", "effective_beta", 0.1)
    np.testing.assert_array_equal(line.get_ydata(), curve.loc[curve["step"] <= 1000, "value"])
    assert line.get_linestyle() == "--"
    assert line.get_linewidth() <= 1


def test_a_paper_curve_of_hardly_any_points_is_left_out() -> None:
    ax = panel()
    assert not overlay_paper_curve(ax, 4, ["batch"], "effective_beta", learning_rate=0.1, last_step=300)
    assert not names(ax)


def test_a_guide_is_named_in_the_panel() -> None:
    ax = panel()
    guide(ax, 20.0, "2/learning rate")
    assert [text.get_text() for text in ax.texts] == ["2/learning rate"]
    assert list(named(ax, "guide-2/learning rate").get_ydata()) == [20.0, 20.0]
