import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures.drawn import named

from normlab.figures import initialization


def test_gradient_norms_against_depth(one_rate: pd.DataFrame) -> None:
    ax = initialization.plot_gradient_by_layer(one_rate, Figure().subplots(), 0)
    line = named(ax, "line-batch")
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 9))
    np.testing.assert_array_equal(line.get_ydata(), np.arange(1, 9))
    assert ax.get_title() == "step 0"


def test_the_first_steps_are_the_first_probed_ones(one_rate: pd.DataFrame) -> None:
    assert initialization.first_steps(one_rate[one_rate["probe"] == "landscape"], 3) == [0, 1, 10]
