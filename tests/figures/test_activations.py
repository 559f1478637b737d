import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import named, names

from normlab.figures import activations


def cell(table: pd.DataFrame, kind: str = "batch") -> pd.DataFrame:
    mine = (table["norm_layer"] == kind) & (table["layer"] == "features.norm3") & (table["seed"] == 0)
    return table[mine]


def test_one_ridge_a_step_with_the_shape_of_the_counts(histograms: pd.DataFrame) -> None:
    ax = activations.plot_histograms(cell(histograms), Figure().subplots(), at_most=20)
    assert names(ax) == {f"ridge-{step}" for step in runs.PROBED}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [str(step) for step in runs.PROBED]
    one = cell(histograms).query("step == 30").sort_values("left")
    ridge = named(ax, "ridge-30")
    np.testing.assert_array_equal(ridge.get_xdata()[:-1], one["left"])
    place = runs.PROBED.index(30)
    heights = ridge.get_ydata()[:-1] - place
    np.testing.assert_allclose(heights, 1.6 * one["count"] / one["count"].max(), rtol=1e-12, atol=1e-12)


def test_first_and_last_step_are_always_among_the_ridges(histograms: pd.DataFrame) -> None:
    ax = activations.plot_histograms(cell(histograms), Figure().subplots(), at_most=3)
    assert {"ridge-0", "ridge-60"} <= names(ax)
    assert len(names(ax)) == 3


def test_the_range_holds_all_but_the_tails(histograms: pd.DataFrame) -> None:
    ax = activations.plot_histograms(cell(histograms), Figure().subplots())
    low, high = ax.get_xlim()
    counts = cell(histograms)
    outside = counts.loc[(counts["right"] <= low) | (counts["left"] >= high), "count"].sum()
    assert 0 < outside / counts["count"].sum() <= 2 * activations.TAIL


def test_non_finite_histograms_are_left_out_and_counted(histograms: pd.DataFrame) -> None:
    broken = cell(histograms).copy()
    broken.loc[broken["step"] == 60, ["left", "right"]] = np.nan
    ax = activations.plot_histograms(broken, Figure().subplots())
    assert "ridge-60" not in names(ax)
    assert "non-finite at 1 steps" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(
    ("draw", "shape", "layers"),
    [
        (activations.figure_1c, (2, 2), ("layer #2", "layer #7")),
        (activations.figure_2_histograms, (3, 3), ("layer #1", "layer #6", "layer #8")),
        (activations.figure_6, (1, 3), ("layer #7",)),
    ],
)
def test_histogram_figures_have_the_paper_s_layers_and_normalizers(histograms, draw, shape, layers) -> None:
    figure = draw(histograms, 0.1)
    assert len(figure.axes) == shape[0] * shape[1]
    titles = [ax.get_title() for ax in figure.axes]
    assert all(any(title.endswith(layer) for title in titles) for layer in layers)


def test_figure_9_shows_the_deep_linear_layers() -> None:
    figure = activations.figure_9(runs.histograms(kinds=("none", "batch"), study="dln"), 1e-6)
    assert [ax.get_title() for ax in figure.axes][::2] == [f"none (plain), layer #{n}" for n in (1, 11, 24)]


def test_figure_8_has_ours_and_the_paper_s_layer_9(vgg: pd.DataFrame) -> None:
    figure = activations.figure_8(vgg[vgg["probe"] == "activations"], 0.1)
    assert len(figure.axes) == 16
    first = figure.axes[0]  # |Δμ| of the layer nearest to #2 of 13: 1 of 8
    np.testing.assert_allclose(named(first, "line-noisy_batch").get_ydata()[0], 5.0, rtol=1e-12)
    assert first.get_yscale() == "log"
    assert figure.axes[8].get_yscale() == "linear"  # drifts are signed
    assert "paper-noisy_batch-mean_drift" in names(figure.axes[11])
