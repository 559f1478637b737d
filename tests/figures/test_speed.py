import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import named, names

from normlab.analysis.statistics import first_reached
from normlab.figures import speed


def test_steps_to_an_accuracy_are_those_of_the_claims(one_rate: pd.DataFrame) -> None:
    table = speed.steps_to(one_rate, 0.5, 10).set_index(["norm_layer", "seed"])["value"]
    for kind, seed in table.index:
        values = np.array([runs.accuracy(kind, 0.1, seed, step) for step in range(runs.STEPS)])
        assert table[kind, seed] == first_reached(values, 0.5, 10)


def test_runs_that_never_reach_it_are_infinite_and_counted_on_the_edge(one_rate: pd.DataFrame) -> None:
    assert np.isinf(speed.steps_to(one_rate, 0.99, 1).query("norm_layer == 'none'")["value"]).all()
    ax = speed.plot_steps_to_accuracy(one_rate, Figure().subplots(), [0.5, 0.99])
    assert len(named(ax, "seeds-none-0.5").get_ydata()) == 3
    assert len(named(ax, "seeds-none-0.99").get_ydata()) == 0
    assert "non-finite-none" in names(ax)
    assert "3" in [text.get_text() for text in ax.texts]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50 %", "99 %"]


def test_the_scan_shows_the_end_of_training_by_rate(vgg: pd.DataFrame) -> None:
    ax = speed.plot_learning_rate_scan(vgg, Figure().subplots(), last=2)
    line = named(ax, "line-batch")
    assert line.get_xdata().tolist() == [0.1, 0.5]
    ends = [100 * np.mean([runs.accuracy("batch", rate, 1, step) for step in (58, 59)]) for rate in (0.1, 0.5)]
    np.testing.assert_allclose(line.get_ydata(), ends, rtol=1e-12)  # means of two numbers
    assert ax.get_xscale() == "log"


def test_smoothness_is_the_early_beta_up_to_the_rate(vgg: pd.DataFrame) -> None:
    walks, history = vgg[vgg["probe"] == "landscape"], vgg[vgg["probe"] == "history"]
    cells = speed.smoothness_and_speed(walks, history, accuracy=0.5, window=5).set_index(
        ["norm_layer", "learning_rate"]
    )
    assert len(cells) == 8
    # the greatest β of the sizes is at the smallest one; early are the steps 1, 10, 20 of 60, the middle seed is 1
    assert cells.loc[("batch", 0.1), "smoothness"] == runs.effective_beta("batch", 0.1, 1, 10)
    ax = speed.plot_smoothness_against_speed(cells.reset_index(), Figure().subplots())
    assert len(named(ax, "cells-batch").get_xdata()) + len(named(ax, "non-finite-batch").get_xdata()) == 2
