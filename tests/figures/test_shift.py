import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures.drawn import everything, named, names

from normlab.figures import shift
from normlab.figures.absent import NOTHING
from normlab.paper.curves import paper_curve


def rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["probe"] == "shift"]


def test_the_cosine_has_its_own_fixed_axis(one_rate: pd.DataFrame) -> None:
    one = rows(one_rate)
    ax = shift.plot_shift(one[one["layer"] == "features.conv3"], Figure().subplots(), "cosine")
    assert set(named(ax, "line-none").get_ydata()) == {0.9}
    assert ax.get_ylim() == (-1.05, 1.05)
    assert "guide-uncorrelated" in names(ax)


def test_distances_are_logarithmic_and_named(one_rate: pd.DataFrame) -> None:
    one = rows(one_rate)
    ax = shift.plot_shift(one[one["layer"] == "features.conv4"], Figure().subplots(), "l2")
    assert set(named(ax, "line-batch").get_ydata()) == {4 * 0.6}
    assert ax.get_yscale() == "log"
    assert "‖G − G′‖" in ax.get_ylabel()


def test_figure_3_has_the_paper_beside_layers_of_the_same_relative_depth(vgg: pd.DataFrame) -> None:
    figure = shift.figure_3(rows(vgg), 0.1)
    assert len(figure.axes) == 12
    assert figure.axes[0].get_title().startswith("vgg11, layer #3")
    assert figure.axes[1].get_title().startswith("vgg11, layer #6")
    theirs = named(figure.axes[2], "paper-batch-l2")
    np.testing.assert_array_equal(theirs.get_ydata(), paper_curve(3, "batch", "l2", 0.1, 5)["value"])
    assert "level not printed" in figure.axes[3].get_ylabel()
    assert "not in the paper" in figure.axes[6].texts[0].get_text()


def test_figure_3b_is_laid_over_a_full_deep_linear_run_but_not_on_the_unlabeled_axis(dln: pd.DataFrame) -> None:
    full = rows(dln).assign(step=rows(dln)["step"] * 160)
    figure = shift.figure_3(full, 1e-6)
    assert len(figure.axes) == 6
    assert "paper-none-l2" in names(figure.axes[0])  # layer 9
    assert not [name for name in names(figure.axes[1]) if name.startswith("paper")]  # layer 17
    assert "paper-none-cosine" in names(figure.axes[5])
    slow = shift.figure_3(full, 1e-7)
    theirs = named(slow.axes[4], "paper-batch-cosine").get_ydata()
    np.testing.assert_array_equal(theirs, paper_curve(3, "batch", "cosine", 1e-7, 9)["value"][: len(theirs)])


def test_nothing_measured_is_said(vgg: pd.DataFrame) -> None:
    assert everything(shift.figure_3(vgg[:0], 0.1)) == {NOTHING}


def test_a_rate_that_no_run_has_is_said(vgg: pd.DataFrame) -> None:
    figure = shift.figure_3(rows(vgg), 1e-7)
    assert "learning rate 1e-07 was not run" in figure.axes[0].texts[0].get_text()
