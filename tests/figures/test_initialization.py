import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import named

from normlab.figures import initialization


def test_gradient_norms_against_depth(one_rate: pd.DataFrame) -> None:
    ax = initialization.plot_gradient_by_layer(one_rate, Figure().subplots(), 0)
    line = named(ax, "line-batch")
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 9))
    np.testing.assert_array_equal(line.get_ydata(), np.arange(1, 9))
    assert ax.get_title() == "step 0"


def test_the_start_shows_the_first_probed_steps_only(one_rate: pd.DataFrame) -> None:
    walks = one_rate[one_rate["probe"] == "landscape"]
    steps = initialization.first_steps(walks, 3)
    assert steps == [0, 1, 10]
    ax = initialization.plot_start(walks, Figure().subplots(), "effective_beta", steps)
    line = named(ax, "line-none")
    assert line.get_xdata().tolist() == steps
    np.testing.assert_allclose(line.get_ydata(), [runs.effective_beta("none", 0.1, 1, s) for s in steps], rtol=1e-12)
