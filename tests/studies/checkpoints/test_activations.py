"""Distances between histograms, against samples and closed forms."""

import numpy as np
import pytest
from scipy import stats

from normlab.studies.checkpoints.activations import wasserstein


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
