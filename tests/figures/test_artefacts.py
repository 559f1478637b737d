from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import named, names

from normlab.analysis.catalog import by_run, by_run_and, table_of
from normlab.analysis.catalog import named as quantities
from normlab.analysis.cells import Cells
from normlab.analysis.walks import by_step_size, halved_by_step
from normlab.figures import artefacts

WHOLE = (0.0, 1.0)
GRID = (0.5, 1.0, 2.0, 4.0)
AFTER_START = runs.PROBED[1:]


def walk(frame: pd.DataFrame, probe: str = "landscape") -> pd.DataFrame:
    return frame[frame["probe"] == probe]


def test_beta_by_step_size_with_its_limit(cells: Cells) -> None:
    betas = by_run_and("step_size", cells.compared(), partial(by_step_size, quantity="beta", phase=WHOLE))
    limits = by_run(cells.compared(), quantities(1)["whole_stretch"].measure)
    ax = artefacts.plot_beta_by_step_size(betas, limits, Figure().subplots())
    line = named(ax, "line-batch")
    np.testing.assert_allclose(line.get_xdata(), [0.1 * m for m in runs.MULTIPLES], rtol=1e-12)
    # β falls with the step: the middle one of 1, 10, … 60, each of which stands for about ten, is that at step 30
    typical = runs.effective_beta("batch", 0.1, 1, 30)
    np.testing.assert_allclose(line.get_ydata(), typical / np.arange(1, 6), rtol=1e-12)
    np.testing.assert_allclose(named(ax, "limit-batch").get_ydata(), 1.8 / 0.1, rtol=1e-12)
    assert max(named(ax, "limit-batch").get_xdata()) < min(line.get_xdata())
    dotted = named(ax, "one-over-eta")
    np.testing.assert_allclose(dotted.get_xdata() * dotted.get_ydata(), 1.0, rtol=1e-12)


def test_the_halved_step_panel_names_both_outcomes(cells: Cells) -> None:
    ax = artefacts.plot_halved_eta_min(
        table_of(cells.compared(), partial(halved_by_step, step_sizes=GRID)), Figure().subplots()
    )
    # the invented β falls as 1/k with the k-th step size: half of the smallest doubles it
    np.testing.assert_allclose(named(ax, "line-batch").get_ydata(), 2.0, rtol=1e-12)
    assert {"line-none", "line-batch"} <= names(ax)
    assert len(ax.texts) == 2
    never = table_of(cells.compared(), partial(halved_by_step, step_sizes=(0.3, 1.0)))
    assert "not measured" in artefacts.plot_halved_eta_min(never, Figure().subplots()).texts[0].get_text()


def test_the_plateau_is_compared_with_two_over_the_learning_rate(cells: Cells) -> None:
    late = quantities(1)["last_effective_beta"]
    table = by_run(cells.rates("batch"), late.measure)
    ax = artefacts.plot_two_over_learning_rate(table, Figure().subplots(), late.label)
    line = named(ax, "line-batch")
    assert line.get_xdata().tolist() == [0.1, 0.5]
    expected = [np.median([runs.effective_beta("batch", rate, 1, s) for s in (50, 60)]) for rate in (0.1, 0.5)]
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    guide = named(ax, "two-over-rate")
    np.testing.assert_allclose(guide.get_xdata() * guide.get_ydata(), 2.0, rtol=1e-12)


def test_equal_distances_compare_at_the_same_move(cells: Cells) -> None:
    def at(quantity: str) -> pd.DataFrame:
        measure = partial(by_step_size, quantity=quantity, phase=WHOLE, probe="landscape_equal_distance")
        return by_run_and("step_size", cells.compared(), measure)

    ax = artefacts.plot_equal_distance(at("gradient_distance"), Figure().subplots(), "gradient_distance")
    assert named(ax, "line-none").get_xdata().tolist() == [0.1, 0.3, 1.0]
    np.testing.assert_allclose(named(ax, "line-none").get_ydata(), 3.3 * np.arange(1, 4), rtol=1e-12)
    assert "‖Δw‖" in ax.get_xlabel()
    ax = artefacts.plot_equal_distance(at("loss_change"), Figure().subplots(), "loss_change")
    # loss − base is rough·k/4 for the k-th distance
    np.testing.assert_allclose(named(ax, "line-none").get_ydata(), 3.3 * np.arange(3) / 4, atol=1e-12)


def test_sharpness_is_in_units_of_the_edge_of_stability(one_rate: pd.DataFrame) -> None:
    ax = artefacts.plot_edge_of_stability(walk(one_rate, "curvature"), Figure().subplots(), "top_eigenvalue")
    np.testing.assert_allclose(named(ax, "line-batch").get_ydata(), 1.0, rtol=1e-12)  # λ_max = 2/rate
    assert "guide-edge of stability" in names(ax)


def test_random_directions_are_dashed_beside_the_gradient(one_rate: pd.DataFrame) -> None:
    ax = artefacts.plot_direction_ratio(walk(one_rate), walk(one_rate, "landscape_random"), Figure().subplots())
    assert named(ax, "random-batch").get_linestyle() == "--"
    np.testing.assert_array_equal(named(ax, "random-batch").get_ydata(), named(ax, "line-batch").get_ydata())
    assert len(artefacts.direction_handles()) == 2
