from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import named, names

from normlab.analysis.catalog import by_run
from normlab.analysis.cells import Cells
from normlab.analysis.quantities import final_train_accuracy, steps_to_accuracy
from normlab.figures import speed


def test_runs_that_never_reach_it_are_infinite_and_counted_on_the_edge(cells: Cells) -> None:
    tables = {
        f"{100 * accuracy:g} %": by_run(cells.compared(), partial(steps_to_accuracy, accuracy=accuracy, window=1))
        for accuracy in (0.5, 0.99)
    }
    ax = speed.plot_steps_to_accuracy(tables, Figure().subplots())
    assert len(named(ax, "seeds-none-50 %").get_ydata()) == 3
    assert len(named(ax, "seeds-none-99 %").get_ydata()) == 0
    assert "non-finite-none" in names(ax)
    assert "3" in [text.get_text() for text in ax.texts]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["50 %", "99 %"]


def test_the_scan_shows_the_end_of_training_by_rate(cells: Cells) -> None:
    table = by_run(cells.rates("batch"), partial(final_train_accuracy, window=2))
    ax = speed.plot_learning_rate_scan(table, Figure().subplots(), "accuracy (%)")
    line = named(ax, "line-batch")
    assert line.get_xdata().tolist() == [0.1, 0.5]
    ends = [100 * np.mean([runs.accuracy("batch", rate, 1, step) for step in (58, 59)]) for rate in (0.1, 0.5)]
    np.testing.assert_allclose(line.get_ydata(), ends, rtol=1e-12)  # means of two numbers
    assert ax.get_xscale() == "log"


def test_cells_that_never_get_there_are_on_the_upper_edge() -> None:
    rows = [("batch", 0.1, 7.0, 40.0), ("batch", 0.5, 3.0, np.inf)]
    table = pd.DataFrame(rows, columns=["norm_layer", "learning_rate", "smoothness", "steps"])
    ax = speed.plot_smoothness_against_speed(table, Figure().subplots())
    assert named(ax, "cells-batch").get_xdata().tolist() == [7.0]
    assert named(ax, "non-finite-batch").get_xdata().tolist() == [3.0]
