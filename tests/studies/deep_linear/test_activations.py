"""Activation statistics against hooks on the module and scipy."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import wasserstein_distance
from tests.studies.deep_linear.conftest import SEEDS, Instance, build_instance
from tests.studies.deep_linear.twin import build_twin

from normlab.specs.dln import DlnCell
from normlab.studies.deep_linear.activations import HISTOGRAM_BINS, DeepLinearTrack, moments
from normlab.studies.deep_linear.rows import CellRows


def outputs(instance: Instance, params: torch.Tensor, seed: int, tap: str = "norm") -> list[np.ndarray]:
    """The outputs of the module's normalizers, or of its linear layers, on the samples, (N, F) each."""
    twin = build_twin(instance.network, params[seed])
    kept: list[np.ndarray] = []
    for name, module in twin.named_modules():
        if tap in name:
            module.register_forward_hook(lambda m, i, output: kept.append(output.detach().numpy()))
    twin(instance.batch(seed)[0])
    return kept


def values_of(frame: pd.DataFrame, seed: int, layer: str, step: int) -> dict[str, float]:
    rows = frame[(frame["seed"] == SEEDS[seed]) & (frame["layer"] == layer) & (frame["step"] == step)]
    return dict(zip(rows["quantity"], rows["value"], strict=True))


def test_moments_of_the_maps_are_those_of_the_samples(instance: Instance):
    maps = instance.network.layer_maps(instance.problem, instance.params)
    for tap, seed in itertools.product(("norm", "linear"), range(3)):
        mean, variance = moments(getattr(maps, tap))
        for layer, values in enumerate(outputs(instance, instance.params, seed, tap)[: instance.network.n_normalized]):
            # sums over 17 samples against closed forms
            np.testing.assert_allclose(mean[seed, layer], values.mean(0), rtol=1e-11, atol=1e-12)
            np.testing.assert_allclose(variance[seed, layer], values.var(0), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("probe", "tap"), [("activations", "norm"), ("activations_fixed", "linear")])
def test_recorded_changes_are_those_of_the_samples(instance: Instance, probe: str, tap: str):
    track = DeepLinearTrack(instance.problem, (2, 3), 3, probe, tap)
    rows = CellRows(DlnCell(instance.network.norm_layer, 0.1), SEEDS)
    points = [instance.params, instance.params * 1.1 + 0.02, instance.params * 0.8 - 0.03]
    with torch.no_grad():
        maps = [getattr(instance.network.layer_maps(instance.problem, params), tap) for params in points]
    track.record(rows, 0, maps[0], maps[1])
    track.record(rows, 50, maps[1], maps[2])
    frame = rows.frame()
    assert set(frame["probe"]) == {probe}
    for seed in range(3):
        samples = [outputs(instance, params, seed, tap) for params in points]
        for column, layer in enumerate((2, 3)):
            first, now, after = (values[layer - 1] for values in samples)
            unit = int(track.examples[seed, column])
            distances = [wasserstein_distance(now[:, j], first[:, j]) for j in range(3)]
            expected = {
                "mean_abs_change_1": np.abs(after.mean(0) - now.mean(0)).mean(),
                "variance_abs_change_1": np.abs(after.var(0) - now.var(0)).mean(),
                "relative_mean_change_1": (np.abs(after.mean(0) - now.mean(0)) / now.std(0)).mean(),
                "mean_drift": (now.mean(0) - first.mean(0)).mean(),
                "variance_drift": (now.var(0) - first.var(0)).mean(),
                "example_mean": now.mean(0)[unit],
                "example_variance": now.var(0)[unit],
                "mean_abs_change": np.abs(now.mean(0) - first.mean(0)).mean(),
                "variance_abs_change": np.abs(now.var(0) - first.var(0)).mean(),
                "relative_mean_change": (np.abs(now.mean(0) - first.mean(0)) / first.std(0)).mean(),
                "wasserstein": (np.asarray(distances) / first.std(0)).mean(),
            }
            # differences of moments of order one that agree to 1e-13
            assert values_of(frame, seed, f"layers.{tap}{layer}", 50) == pytest.approx(expected, rel=1e-9, abs=1e-11)
            at_start = values_of(frame, seed, f"layers.{tap}{layer}", 0)
            assert at_start["mean_drift"] == 0
            assert "wasserstein" not in at_start  # nothing to compare the first measurement with


def test_histograms_hold_every_sample_of_the_example_unit():
    instance = build_instance("l2")
    track = DeepLinearTrack(instance.problem, (1, 3), 3)
    rows = CellRows(DlnCell("l2", 0.1), SEEDS)
    with torch.no_grad():
        maps = instance.network.layer_maps(instance.problem, instance.params).norm
    maps[1] = torch.nan  # the second seed diverged: it has no histogram
    track.record_histograms(rows, 50, maps, 2)
    frame = track.histograms()
    assert frame["seed"].unique().tolist() == [SEEDS[0]]
    assert set(frame["step"]) == {50}
    for column, layer in enumerate((1, 3)):
        rows = frame[frame["layer"] == f"layers.norm{layer}"]
        unit = int(track.examples[0, column])
        values = outputs(instance, instance.params, 0)[layer - 1][:, unit]
        assert len(rows) == HISTOGRAM_BINS
        assert rows["unit"].unique().tolist() == [unit]
        assert rows["count"].sum() == 17
        # edges come from maps, values from samples
        assert rows["left"].min() == pytest.approx(values.min(), rel=1e-12)
        assert rows["right"].max() == pytest.approx(values.max(), rel=1e-12)
        counted = [
            ((values >= left) & (values < right)).sum() for left, right in zip(rows["left"], rows["right"], strict=True)
        ]
        # one sample on each of the two outer edges may fall to either side by roundoff
        assert np.abs(np.asarray(counted) - rows["count"]).sum() <= 2
