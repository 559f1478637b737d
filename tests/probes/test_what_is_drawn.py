"""What the pictures of results show, point by point, of results whose numbers are chosen."""

import math
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import pytest
import torch
from torch import Tensor

mpl.use("Agg")
from matplotlib import pyplot as plt

from normlab import probes
from normlab.probes import plots

NAN, INF = math.nan, math.inf


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def ax() -> Iterator[Any]:
    figure, found = plt.subplots()
    yield found
    plt.close(figure)


def curves(ax: Any) -> list[list[list[float]]]:
    return [line.get_xydata().tolist() for line in ax.lines]


def bars(ax: Any) -> list[float]:
    return [patch.get_height() for patch in ax.patches]


def ends(container: Any) -> list[list[list[float]]]:
    """The two ends of every error bar."""
    return [segment.tolist() for segment in container.lines[2][0].get_segments()]


def test_the_base_point_lies_in_the_curve_and_a_divergence_is_a_gap_with_a_line(ax: Any) -> None:
    losses = numbers(7.0, INF, 3.0, -1e101)
    walk = probes.LandscapeProbe(2.0, 1.0, numbers(0.5, 2.0, -0.25, 1.0), losses, None, None, None, "eval", "given")
    walk.plot(ax)
    curve, base, *broken = curves(ax)
    assert [x for x, _ in curve] == [-0.25, 0.0, 0.5, 1.0, 2.0]
    assert curve[:3] == [[-0.25, 3.0], [0.0, 2.0], [0.5, 7.0]]
    assert all(math.isnan(y) for _, y in curve[3:])
    assert base == [[0.0, 2.0]]
    assert [line[0][0] for line in broken] == [1.0, 2.0]
    assert ax.get_xlabel() == "step size along the given direction"
    assert ax.get_ylabel() == "loss (eval mode)"


def test_values_too_large_to_be_drawn_are_gaps() -> None:
    found = plots.finite([1.0, -9.9e99, 1e100, -1e100, INF, NAN])
    assert found[:2] == [1.0, -9.9e99]
    assert all(map(math.isnan, found[2:]))


def plane(losses: Tensor, trajectory: Tensor | None) -> probes.PlaneProbe:
    xs, ys = numbers(*range(losses.shape[1])), numbers(*range(losses.shape[0]))
    return probes.PlaneProbe(1.0, xs, ys, losses, (1.0, 1.0), 0.0, trajectory, None, "train", "given")


def test_a_plane_has_contours_a_trajectory_and_the_base_point(ax: Any) -> None:
    plane(numbers(1, 2, 3, 4, 5, INF).view(2, 3), numbers(0.1, 0.2, 0.3, 0.4).view(2, 2)).plot(ax)
    assert curves(ax) == [[[0.1, 0.2], [0.3, 0.4]], [[0.0, 0.0]]]
    assert len(ax.figure.axes) == 2  # the other is the color bar
    (contours,) = ax.collections
    assert len(contours.levels) > 15
    assert (min(contours.levels), max(contours.levels)) == (pytest.approx(1.0, abs=0.3), pytest.approx(5.0, abs=0.3))


@pytest.mark.parametrize("shape", [(1, 3), (3, 1)])
def test_a_line_has_no_contours(ax: Any, shape: tuple[int, int]) -> None:
    plane(numbers(1, 2, 3).view(shape), None).plot(ax)
    assert (curves(ax), len(ax.figure.axes), len(ax.collections)) == ([[[0.0, 0.0]]], 1, 0)


def test_two_squares_have_contours(ax: Any) -> None:
    plane(numbers(1, 2, 3, 4).view(2, 2), None).plot(ax)
    assert len(ax.figure.axes) == 2


def test_shift_and_curvature_are_bars(ax: Any) -> None:
    probes.ShiftProbe(9.0, 0.25, -0.5, "train").plot(ax)
    assert bars(ax) == [0.25, -0.5]
    probes.DirectionalCurvature(3.0, 4.0, 9.0, "train").plot(ax)
    assert bars(ax)[2:] == [3.0, 4.0]


def moments(histogram: Tensor) -> probes.MomentsProbe:
    edges = numbers(0.0, 1.0, 3.0)
    return probes.MomentsProbe(torch.tensor([2, 5]), numbers(1.0, -2.0), numbers(4.0, 9.0), edges, histogram, "train")


def test_histograms_are_rows_of_their_units(ax: Any) -> None:
    moments(torch.tensor([[1, 2], [3, 4]])).plot(ax)
    (mesh,) = ax.collections
    assert mesh.get_array().ravel().tolist() == [1, 2, 3, 4]
    assert mesh.get_coordinates().tolist() == [[[x, y] for x in (0.0, 1.0, 3.0)] for y in (0.0, 1.0, 2.0)]
    assert ax.get_yticks().tolist() == [0.5, 1.5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["2", "5"]


def test_without_histograms_units_are_means_with_deviations(ax: Any) -> None:
    moments(torch.zeros(2, 0, dtype=torch.int64)).plot(ax)
    assert curves(ax)[0] == [[1.0, 0.5], [-2.0, 1.5]]
    assert ends(ax.containers[0]) == [[[-1.0, 0.5], [3.0, 0.5]], [[-5.0, 1.5], [1.0, 1.5]]]


def test_eigenvalues_have_numbers_and_residuals(ax: Any) -> None:
    probes.Eigenvalues(numbers(5.0, 2.0), numbers(0.5, 0.25), True, 9, "train").plot(ax)
    assert curves(ax)[0] == [[1.0, 5.0], [2.0, 2.0]]
    assert ends(ax.containers[0]) == [[[1.0, 4.5], [1.0, 5.5]], [[2.0, 1.75], [2.0, 2.25]]]
    assert ax.get_xticks().tolist() == [1, 2]


def density(low: float, high: float) -> probes.SpectralDensity:
    grid = torch.linspace(low, high, 5, dtype=torch.float64)
    return probes.SpectralDensity(grid, numbers(1, 2, 3, 2, 1), (numbers(1.0),), (numbers(1.0),), 0.5, 1, "train")


def test_a_density_is_logarithmic(ax: Any) -> None:
    density(-1.0, 3.0).plot(ax)
    assert curves(ax) == [[[-1.0, 1.0], [0.0, 2.0], [1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]]
    assert ax.get_yscale() == "log"


def test_an_estimate_has_its_error_if_that_is_finite(ax: Any) -> None:
    plots.plot_estimate(3.0, 0.5, "label", ax)
    plots.plot_estimate(4.0, INF, "label", ax, [1.0, INF, 2.0])
    assert [ends(container) for container in ax.containers] == [[[[0, 2.5], [0, 3.5]]], [[[0, 4.0], [0, 4.0]]]]
    (single,) = [line for line in ax.lines if line.get_label() == "each batch"]
    assert single.get_xdata().tolist() == [1, 2, 3]
    assert single.get_ydata()[[0, 2]].tolist() == [1.0, 2.0]


def over(per_batch: list[Any], mean: dict[str, float], spread: dict[str, float]) -> Any:
    return probes.OverBatches(per_batch, mean, spread)


def test_numbers_over_batches_have_their_spread(ax: Any) -> None:
    found = over([1.0, 2.0], {"a": 3.0, "b": INF, "c": 1.0}, {"a": 0.5, "b": NAN, "c": NAN})
    plots.plot_over_batches(found, ax)
    curve = curves(ax)[0]
    assert (curve[0], curve[2]) == ([0.0, 3.0], [2.0, 1.0])
    assert math.isnan(curve[1][1])
    bars_of = ends(ax.containers[0])
    assert (bars_of[0], bars_of[2]) == ([[0.0, 2.5], [0.0, 3.5]], [[2.0, 1.0], [2.0, 1.0]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    assert ax.get_ylabel().endswith("over 2 batches")


def test_densities_over_batches_are_curves_below_their_mean(ax: Any) -> None:
    found = over([density(-1.0, 3.0), density(0.0, 4.0)], {}, {})
    plots.plot_over_batches(found, ax)
    first, second, mean = curves(ax)
    assert len(mean) == 1001
    assert (mean[0][0], mean[-1][0]) == (-1.0, 4.0)
    for (x, a), (_, b), (_, c) in zip(first, second, mean, strict=True):
        wanted = math.exp(-0.5 * ((x - 1.0) / 0.5) ** 2) / (0.5 * math.sqrt(2 * math.pi))
        assert (a, b, c) == pytest.approx((wanted, wanted, wanted), rel=1e-12)  # one node, 1, of both
    assert ax.get_yscale() == "log"
