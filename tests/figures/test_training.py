import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import everything, has_words, legend_texts, named, names

from normlab.figures import training


def test_accuracy_is_shown_in_percent_with_its_unit(one_rate: pd.DataFrame) -> None:
    ax = training.plot_training(one_rate, Figure().subplots(), "train_accuracy")
    middle = [100 * runs.accuracy("batch", 0.1, 1, step) for step in range(runs.STEPS)]  # seed 1 of 0, 1, 2
    np.testing.assert_allclose(named(ax, "line-batch").get_ydata(), middle, rtol=1e-12)
    assert "%" in ax.get_ylabel()
    assert ax.get_xlabel() == "training step"


def test_a_short_study_has_the_paper_beside_it(vgg: pd.DataFrame) -> None:
    figure = training.figure_1(vgg, 0.1, window=5)
    assert len(figure.axes) == 6  # two quantities, two rates and the paper
    assert {"line-none", "line-batch", "raw-batch"} <= names(figure.axes[0])
    assert not [name for name in names(figure.axes[0]) if name.startswith("paper")]
    assert "Figure 1a" in figure.axes[2].get_title()
    assert "Figure 1b" in figure.axes[5].get_title()
    assert legend_texts(figure) == ["none (plain)", "BatchNorm", "paper, one run"]
    assert has_words(figure)


def test_a_long_study_has_the_paper_laid_over(vgg: pd.DataFrame) -> None:
    stretched = vgg.assign(step=vgg["step"] * 200)
    figure = training.figure_1(stretched, 0.1)
    assert len(figure.axes) == 4
    assert "paper-batch-train_accuracy" in names(figure.axes[0])
    assert max(named(figure.axes[0], "paper-batch-train_accuracy").get_xdata()) <= stretched["step"].max()


@pytest.mark.parametrize(("draw", "kinds"), [(training.figure_2, {"noisy_batch"}), (training.figure_5a, {"l1"})])
def test_figures_show_their_normalizers(vgg: pd.DataFrame, draw, kinds: set[str]) -> None:
    figure = draw(vgg, 0.1)
    assert {f"line-{kind}" for kind in kinds | {"none", "batch"}} <= everything(figure)


@pytest.mark.parametrize("draw", [training.figure_2, training.figure_5a])
def test_the_plain_network_and_batchnorm_alone_are_no_figure_about_others(vgg: pd.DataFrame, draw) -> None:
    figure = draw(vgg[vgg["norm_layer"].isin(["none", "batch"])], 0.1)
    assert "not run here" in figure.axes[0].texts[0].get_text()


def test_nothing_measured_is_said(vgg: pd.DataFrame) -> None:
    figure = training.figure_1(vgg[:0], 0.1)
    assert "not measured" in figure.axes[0].texts[0].get_text()
    ax = training.plot_training(vgg[:0], Figure().subplots(), "loss")
    assert "not measured" in ax.texts[0].get_text()


def test_a_diverged_run_is_marked_in_the_panel(one_rate: pd.DataFrame) -> None:
    rows = one_rate[one_rate["quantity"] == "loss"].copy()
    gone = (rows["norm_layer"] == "none") & (rows["seed"] == 0) & (rows["step"] == 30)
    rows.loc[gone, "value"] = np.inf
    rows = rows[~((rows["norm_layer"] == "none") & (rows["seed"] == 0) & (rows["step"] > 30))]
    ax = training.plot_training(rows, Figure().subplots(), "loss", log=True)
    assert named(ax, "non-finite-none").get_xdata().tolist() == [30]
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize(
    ("rate", "last", "study", "expected"),
    [(0.1, 15000, "vgg", True), (0.1, 200, "vgg", False), (0.2, 15000, "vgg", False), (1e-6, 10000, "dln", True)],
)
def test_comparable_means_the_same_rate_and_a_tenth_of_the_steps(rate, last, study, expected) -> None:
    assert training.is_comparable(pd.DataFrame({"step": [0, last], "study": study}), rate) is expected


def test_the_rate_of_the_analysis_comes_first_then_the_paper_s_second_one(vgg: pd.DataFrame) -> None:
    other = pd.concat([vgg, vgg[vgg["learning_rate"] == 0.1].assign(learning_rate=0.03)])
    assert training.shown_learning_rates(other, 0.03) == [0.03, 0.5]
    assert training.shown_learning_rates(other, 0.03, at_most=1) == [0.03]
