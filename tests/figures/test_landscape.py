import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import everything, legend_texts, named, names

from normlab.figures import landscape
from normlab.paper.curves import load_figure, paper_curve


@pytest.fixture
def walks(one_rate: pd.DataFrame) -> pd.DataFrame:
    return one_rate[one_rate["probe"] == "landscape"]


def test_the_band_lies_between_the_median_edges(walks: pd.DataFrame) -> None:
    ax = landscape.plot_edges(walks, Figure().subplots(), "loss")
    steps = np.array(runs.PROBED)
    low = 0.8 * 2 * np.exp(-steps / 40)
    np.testing.assert_allclose(named(ax, "low-none").get_ydata(), low, rtol=1e-12)
    high = 2 * np.exp(-steps / 40) + 3.0 * 1.1  # seed 1 of 0, 1, 2
    np.testing.assert_allclose(named(ax, "high-none").get_ydata(), high, rtol=1e-12)
    corners = named(ax, "band-none").get_paths()[0].vertices[:, 1]
    assert math.isclose(corners.min(), low.min(), rel_tol=1e-12)
    assert math.isclose(corners.max(), high.max(), rel_tol=1e-12)
    assert ax.get_yscale() == "log"
    assert "nats" in ax.get_ylabel()


def test_an_infinite_edge_is_marked_not_lost(walks: pd.DataFrame) -> None:
    walks = walks.copy()
    hit = (walks["quantity"] == "loss_high") & (walks["norm_layer"] == "none") & (walks["step"] == 20)
    walks.loc[hit, "value"] = np.inf
    ax = landscape.plot_edges(walks, Figure().subplots(), "loss")
    assert named(ax, "non-finite-none").get_xdata().tolist() == [20]


def test_beta_has_the_levels_that_the_measurement_itself_produces(walks: pd.DataFrame) -> None:
    ax = landscape.plot_effective_beta(walks, Figure().subplots(), eta_min=0.05)
    assert "guide-1/η_min = 2/learning rate" in names(ax)
    ax = landscape.plot_effective_beta(walks, Figure().subplots(), eta_min=0.025)
    assert {"guide-1/η_min", "guide-2/learning rate"} <= names(ax)
    expected = [runs.effective_beta("batch", 0.1, 1, step) for step in runs.PROBED]
    np.testing.assert_allclose(named(ax, "line-batch").get_ydata(), expected, rtol=1e-12)


def test_figure_4_has_ours_above_and_the_paper_below(vgg: pd.DataFrame) -> None:
    figure = landscape.figure_4(vgg[vgg["probe"] == "landscape"], 0.1, eta_min_factor=0.5)
    assert len(figure.axes) == 6
    assert "Figure 4c" in figure.axes[5].get_title()
    curve = paper_curve(4, "none", "effective_beta", 0.1)
    np.testing.assert_array_equal(named(figure.axes[5], "paper-none-effective_beta").get_ydata(), curve["value"])
    assert legend_texts(figure) == ["none (plain)", "BatchNorm", "paper, one run"]


def test_figure_4_lays_the_paper_over_a_run_of_its_length(vgg: pd.DataFrame) -> None:
    walks = vgg[vgg["probe"] == "landscape"]
    figure = landscape.figure_4(walks.assign(step=walks["step"] * 250), 0.1, eta_min_factor=0.5)
    assert len(figure.axes) == 3
    assert "paper-batch-loss_high" in names(figure.axes[0])
    assert "paper-batch-gradient_distance_low" in names(figure.axes[1])


def test_figure_12_shows_every_normalizer_measured(vgg: pd.DataFrame) -> None:
    figure = landscape.figure_12(vgg[vgg["probe"] == "landscape"], 0.1, eta_min_factor=0.5)
    assert {"band-none", "band-batch", "band-l1"} <= names(figure.axes[0])
    assert "band-noisy_batch" not in everything(figure)


def test_figure_11_has_one_curve_a_probed_step(vgg: pd.DataFrame) -> None:
    figure = landscape.figure_11(vgg[vgg["probe"] == "landscape"], 0.1)
    ours, theirs = figure.axes[1], figure.axes[3]
    assert {f"step-{step}" for step in runs.PROBED} <= names(ours)
    line = named(ours, "step-10")
    np.testing.assert_allclose(line.get_xdata(), [0.1 * m for m in runs.MULTIPLES], rtol=1e-12)
    np.testing.assert_allclose(line.get_ydata(), 1.1 * np.arange(1, 6), rtol=1e-12)  # BatchNorm, seed 1
    assert len([name for name in names(theirs) if name.startswith("step-")]) == 51
    assert ours.get_ylim() == figure.axes[0].get_ylim()
    published = load_figure(11)
    assert set(published.loc[published["network"] == "vgg", "step_size"]) == {0.05, 0.1, 0.2, 0.4}


def test_figure_11_without_batchnorm_says_so_and_keeps_the_scale_of_what_there_is(vgg: pd.DataFrame) -> None:
    walks = vgg[(vgg["probe"] == "landscape") & (vgg["norm_layer"] == "none")]
    plain, missing = landscape.figure_11(walks, 0.1).axes[:2]
    alone = landscape.figure_11(vgg[vgg["probe"] == "landscape"], 0.1).axes[0]
    assert "not measured" in missing.texts[0].get_text()
    assert 0 < plain.get_ylim()[0] <= alone.dataLim.ymax


def test_the_rate_of_the_analysis_is_shown_not_the_paper_s(vgg: pd.DataFrame) -> None:
    walks = vgg[vgg["probe"] == "landscape"]
    figure = landscape.figure_4(walks, 0.5, eta_min_factor=0.5)
    assert figure.axes[0].get_title() == "loss along −g, learning rate 0.5"
    expected = [runs.effective_beta("batch", 0.5, 1, step) for step in runs.PROBED]
    np.testing.assert_allclose(named(figure.axes[2], "line-batch").get_ydata(), expected, rtol=1e-12)
    for draw in (partial(landscape.figure_4, eta_min_factor=0.5), landscape.figure_11):
        assert "learning rate 0.3 was not run" in draw(walks, 0.3).axes[0].texts[0].get_text()


def test_a_summary_by_step(walks: pd.DataFrame) -> None:
    ax = landscape.plot_summary(walks, Figure().subplots(), "gradient_distance_high")
    assert set(named(ax, "line-none").get_ydata()) == {4 * 3.0 * 1.1}
    assert ax.get_yscale() == "log"
    first = landscape.plot_summary(walks, Figure().subplots(), "effective_beta", steps=[0, 1, 10])
    expected = [runs.effective_beta("none", 0.1, 1, step) for step in (0, 1, 10)]
    np.testing.assert_allclose(named(first, "line-none").get_ydata(), expected, rtol=1e-12)


def test_nothing_measured_is_said(vgg: pd.DataFrame) -> None:
    for draw in (
        partial(landscape.figure_4, eta_min_factor=0.5),
        landscape.figure_11,
        partial(landscape.figure_12, eta_min_factor=0.5),
    ):
        assert "not measured" in draw(vgg[:0], 0.1).axes[0].texts[0].get_text()
