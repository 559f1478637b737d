import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures import runs
from tests.figures.drawn import named, names

from normlab.figures import artefacts


def walk(frame: pd.DataFrame, probe: str = "landscape") -> pd.DataFrame:
    return frame[frame["probe"] == probe]


def test_beta_by_step_size_with_its_limit(one_rate: pd.DataFrame) -> None:
    ax = artefacts.plot_beta_by_step_size(walk(one_rate), walk(one_rate, "curvature"), Figure().subplots())
    line = named(ax, "line-batch")
    np.testing.assert_allclose(line.get_xdata(), [0.1 * m for m in runs.MULTIPLES], rtol=1e-12)
    typical = np.median([runs.effective_beta("batch", 0.1, 1, step) for step in runs.PROBED])
    np.testing.assert_allclose(line.get_ydata(), typical / np.arange(1, 6), rtol=1e-12)
    assert set(named(ax, "limit-batch").get_ydata()) == {1.8 / 0.1}
    assert max(named(ax, "limit-batch").get_xdata()) < min(line.get_xdata())
    dotted = named(ax, "one-over-eta")
    np.testing.assert_allclose(dotted.get_xdata() * dotted.get_ydata(), 1.0, rtol=1e-12)


def beta_rows(by_size: dict[float, float], kind: str = "batch") -> pd.DataFrame:
    rows = [(kind, 0.1, 0, 5, "beta", size, value) for size, value in by_size.items()]
    grid = max(value for size, value in by_size.items() if size >= 0.05)
    rows.append((kind, 0.1, 0, 5, "effective_beta", np.nan, grid))
    columns = ["norm_layer", "learning_rate", "seed", "step", "quantity", "step_size", "value"]
    return pd.DataFrame(rows, columns=columns)


def test_a_plateau_at_one_over_eta_min_doubles_and_a_smooth_one_does_not() -> None:
    artefact = beta_rows({size: 1 / size for size in (0.025, 0.05, 0.1, 0.2, 0.4)})
    assert artefacts.halved_beta(artefact, 0.5)["value"].tolist() == [2.0]
    smooth = beta_rows(dict.fromkeys((0.025, 0.05, 0.1, 0.2, 0.4), 7.0))
    assert artefacts.halved_beta(smooth, 0.5)["value"].tolist() == [1.0]


def test_only_half_the_smallest_step_is_added() -> None:
    rows = beta_rows({0.001: 1000.0, 0.025: 40.0, 0.05: 20.0, 0.1: 10.0})
    assert artefacts.halved_beta(rows, 0.5)["value"].tolist() == [2.0]


def test_the_halved_step_panel_names_both_outcomes(one_rate: pd.DataFrame) -> None:
    ax = artefacts.plot_halved_eta_min(walk(one_rate), Figure().subplots())
    assert {"line-none", "line-batch"} <= names(ax)
    assert len(ax.texts) == 2
    without = walk(one_rate)[lambda f: f["step_size"].isna() | (f["step_size"] > 0.03)]
    assert "not measured" in artefacts.plot_halved_eta_min(without, Figure().subplots()).texts[0].get_text()


def test_the_plateau_is_compared_with_two_over_the_learning_rate(vgg: pd.DataFrame) -> None:
    ax = artefacts.plot_two_over_learning_rate(walk(vgg), Figure().subplots())
    line = named(ax, "line-batch")
    assert line.get_xdata().tolist() == [0.1, 0.5]
    late = [np.median([runs.effective_beta("batch", rate, 1, s) for s in (50, 60)]) for rate in (0.1, 0.5)]
    np.testing.assert_allclose(line.get_ydata(), late, rtol=1e-12)
    guide = named(ax, "two-over-rate")
    np.testing.assert_allclose(guide.get_xdata() * guide.get_ydata(), 2.0, rtol=1e-12)


def test_equal_distances_compare_at_the_same_move(one_rate: pd.DataFrame) -> None:
    rows = walk(one_rate, "landscape_equal_distance")
    ax = artefacts.plot_equal_distance(rows, Figure().subplots())
    assert named(ax, "line-none").get_xdata().tolist() == [0.1, 0.3, 1.0]
    np.testing.assert_allclose(named(ax, "line-none").get_ydata(), 3.3 * np.arange(1, 4), rtol=1e-12)
    assert "‖Δw‖" in ax.get_xlabel()
    ax = artefacts.plot_equal_distance(rows, Figure().subplots(), "loss")
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


def test_a_summary_by_checkpoint(one_rate: pd.DataFrame) -> None:
    ax = artefacts.plot_by_step(walk(one_rate), Figure().subplots(), "gradient_distance_high")
    assert set(named(ax, "line-none").get_ydata()) == {4 * 3.0 * 1.1}
