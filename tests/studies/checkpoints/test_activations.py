"""Distances between histograms, against samples and closed forms; changes of moments, by hand."""

import numpy as np
import pytest
import torch
from scipy import stats

from normlab.probes import MomentsProbe
from normlab.studies.checkpoints.activations import ActivationTrack, wasserstein
from normlab.tables.rows import Rows


def test_a_shift_moves_all_mass_by_its_length() -> None:
    edges = np.linspace(-1.0, 1.0, 21)
    counts = np.random.default_rng(0).integers(1, 50, 20).astype(float)
    # disjoint or overlapping, W1 of a translation is the translation; rounding only
    for shift in (0.05, 0.1, 5.0):
        assert wasserstein(edges, counts, edges + shift, counts) == pytest.approx(shift, rel=1e-12)
    assert wasserstein(edges, counts, edges, 3 * counts) == pytest.approx(0.0, abs=1e-15)


def test_agrees_with_the_distance_between_the_samples() -> None:
    draws = np.random.default_rng(1)
    a, b = draws.normal(0.0, 1.0, 4000), draws.normal(0.7, 1.6, 4000)
    (counts_a, edges_a), (counts_b, edges_b) = np.histogram(a, 80), np.histogram(b, 60)
    # binning moves a value by at most a bin (0.1 and 0.2 wide), on average by far less
    expected = stats.wasserstein_distance(a, b)
    assert wasserstein(edges_a, counts_a, edges_b, counts_b) == pytest.approx(expected, abs=0.02)


def test_an_empty_or_non_finite_histogram_has_no_distance() -> None:
    edges, counts = np.array([0.0, 1.0]), np.array([3.0])
    assert np.isnan(wasserstein(edges, counts, edges, np.array([0.0])))
    assert np.isnan(wasserstein(np.array([0.0, np.inf]), counts, edges, counts))


KEYED = {"study": "vgg", "network": "vgg11", "norm_layer": "none", "learning_rate": 0.1, "seed": 0}


def moments(means: list[float], variances: list[float], shift: float = 0.0) -> MomentsProbe:
    """Two units, all of whose mass lies in one bin of width 1 that begins at `shift`."""
    return MomentsProbe(
        torch.tensor([3, 8]), torch.tensor(means), torch.tensor(variances),
        torch.tensor([shift, shift + 1.0], dtype=torch.float64), torch.tensor([[7], [7]]), "train",
    )  # fmt: skip


def test_a_track_compares_with_one_step_later_with_the_previous_grid_step_and_with_step_0() -> None:
    track, rows = (
        ActivationTrack("activations", ["layer"], 2, 0, lambda step: pytest.fail("no batch is needed")),
        Rows(KEYED),
    )
    track.record(rows, 0, {"layer": moments([1.0, 2.0], [4.0, 0.0])}, {"layer": moments([2.0, 5.0], [9.0, 1.0])}, True)
    track.record(rows, 7, {"layer": moments([9.0, 9.0], [1.0, 1.0])}, {"layer": moments([9.0, 9.0], [1.0, 1.0])}, False)
    now, later = moments([-2.0, 4.0], [1.0, 16.0], 0.5), moments([-1.0, 6.0], [3.0, 12.0])
    track.record(rows, 10, {"layer": now}, {"layer": later}, True)
    found: dict[int, dict[str, float]] = {}
    for row in rows.frame().itertuples():
        assert (row.probe, row.layer) == ("activations", "layer")
        found.setdefault(row.step, {})[row.quantity] = row.value
    assert found[0] == {
        "mean_abs_change_1": (1 + 3) / 2,
        "variance_abs_change_1": (5 + 1) / 2,
        "relative_mean_change_1": 1 / 2,  # the other unit has no deviation
        "mean_drift": 0,
        "variance_drift": 0,
        "example_mean": 1,
        "example_variance": 4,
    }
    assert (found[7]["mean_drift"], found[7]["variance_drift"]) == ((8 + 7) / 2, (-3 + 1) / 2)
    assert "mean_abs_change" not in found[7]  # off the grid
    assert found[10] == {
        "mean_abs_change_1": (1 + 2) / 2,
        "variance_abs_change_1": (2 + 4) / 2,
        "relative_mean_change_1": (1 / 1 + 2 / 4) / 2,
        "mean_drift": (-3 + 2) / 2,
        "variance_drift": (-3 + 16) / 2,
        "example_mean": -2,
        "example_variance": 1,
        "mean_abs_change": (3 + 2) / 2,  # since step 0, not 7
        "variance_abs_change": (3 + 16) / 2,
        "relative_mean_change": 3 / 2,
        "wasserstein": pytest.approx(0.5 / 2, rel=1e-12),  # moved by half a bin
    }
