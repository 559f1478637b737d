import numpy as np
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import named

from normlab.analysis.catalog import by_layer
from normlab.analysis.cells import Cells
from normlab.figures.layers import plot_by_layer


def test_the_exact_zero_of_the_first_layer_is_off_the_logarithmic_axis(cells: Cells) -> None:
    ax = plot_by_layer(by_layer(cells.compared(), "shift", "l2"), Figure().subplots(), "shift")
    np.testing.assert_allclose(named(ax, "line-none").get_ydata(), [0, 1, 1.5, 2, 2.5, 3, 3.5, 4], rtol=1e-12)
    ax.figure.canvas.draw()
    assert ax.get_ylim()[0] > 0


def test_a_cosine_has_its_own_axis(cells: Cells) -> None:
    ax = plot_by_layer(by_layer(cells.compared(), "shift", "cosine"), Figure().subplots(), "cosine", log=False)
    assert ax.get_ylim() == (-1.05, 1.05)


def test_stability_by_layer_is_the_mean_over_the_run(cells: Cells) -> None:
    ax = plot_by_layer(by_layer(cells.compared(), "activations", "wasserstein"), Figure().subplots(), "W")
    steps = np.array(runs.PROBED[1:])
    weights = np.array([9, 9.5, 10, 10, 10, 10, 10])  # steps that 1, 10, 20, … stand for
    typical = np.average(8 / (1 + steps / 30), weights=weights)
    np.testing.assert_allclose(named(ax, "line-none").get_ydata(), typical / np.arange(1, 9), rtol=1e-12)


def test_nothing_measured_is_said(cells: Cells) -> None:
    ax = plot_by_layer(by_layer(cells.compared(), "gone", "gone"), Figure().subplots(), "W")
    assert "not measured" in ax.texts[0].get_text()
