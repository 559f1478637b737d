"""Activation statistics over training: how far the distribution of a layer's inputs moves (paper §2.1, App. B).

Two probes follow the same units (channels) through a run:

- `activations`: the normalizers' outputs (`features.normK`) on the batch that training sees at the step. Successive
  values differ by the weights **and** by the batch; a normalizer's output has the mean β and the variance γ² on every
  batch, so between networks with and without normalizer these rows compare a constant with minibatch noise.
- `activations_fixed`: on one batch for the whole run (`normlab.data.images.Batches.fixed`), so that successive values
  differ by the weights alone (and by the noise of noisy BatchNorm), at two places: the outputs of the layers that feed
  the normalizers (`features.convK`), where nothing is fixed by construction, and of the normalizers (`features.normK`;
  in the plain network the same values as of `features.convK`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from normlab.probes import MomentsProbe, activation_moments
from normlab.seeding import generator
from normlab.tables.rows import Histograms, Rows


def wasserstein(edges_a: np.ndarray, counts_a: np.ndarray, edges_b: np.ndarray, counts_b: np.ndarray) -> float:
    """W₁ = ∫|F_a(x) − F_b(x)| dx between two histograms, mass spread evenly inside each bin.

    Both distribution functions are then piecewise linear, and the integral over their merged edges is exact but for
    crossings inside a bin, where the trapezoid rule overestimates by less than one bin's share.

    Args:
        edges_a: (B+1,) increasing bin edges of the first histogram.
        counts_a: (B,) its counts.
        edges_b: (B'+1,) bin edges of the second.
        counts_b: (B',) its counts.

    Returns:
        The distance in the unit of the edges; NaN if a histogram is empty or an edge is not finite.
    """
    if counts_a.sum() == 0 or counts_b.sum() == 0 or not np.isfinite([*edges_a, *edges_b]).all():
        return float("nan")
    merged = np.union1d(edges_a, edges_b)
    cumulative_a = np.concatenate([[0.0], np.cumsum(counts_a) / counts_a.sum()])
    cumulative_b = np.concatenate([[0.0], np.cumsum(counts_b) / counts_b.sum()])
    difference = np.interp(merged, edges_a, cumulative_a) - np.interp(merged, edges_b, cumulative_b)
    return float(np.trapezoid(np.abs(difference), merged))


@dataclass(frozen=True)
class _Layer:
    """A layer's statistics as numpy arrays."""

    units: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    edges: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, probe: MomentsProbe) -> "_Layer":
        fields = (probe.units, probe.mean, probe.variance, probe.edges, probe.histogram)
        units, mean, variance, edges, counts = (np.asarray(value, dtype=np.float64) for value in fields)
        return cls(units, mean, variance, edges, counts)

    def state(self) -> dict[str, Tensor]:
        """The arrays as tensors, for a file."""
        return {name: torch.from_numpy(value) for name, value in vars(self).items()}


class ActivationTrack:
    """Follows the same units of the same layers through a run and records how their distribution moves.

    Args:
        probe: the name of the rows: `activations` or `activations_fixed`.
        layers: module names; none for a network that shows none (`normlab.nn.structure`).
        units: how many units a layer, drawn once from the seed; layers of equal widths in the same order have the same
            units in every track.
        seed: the run's seed.
        batch_at: the batch to measure on at a step.
    """

    def __init__(
        self, probe: str, layers: list[str], units: int, seed: int, batch_at: Callable[[int], tuple[Tensor, Tensor]]
    ) -> None:
        self.probe, self.layers, self.units, self.seed, self.batch_at = probe, layers, units, seed, batch_at
        self._first: dict[str, _Layer] = {}
        self._previous: dict[str, _Layer] = {}
        self._histograms = Histograms()

    def measure(self, model: nn.Module, step: int, histograms: bool) -> dict[str, MomentsProbe]:
        """Moments and perhaps histograms of the tracked units on the batch of `step`, in train mode."""
        draws = generator(self.seed, "units")  # always from the stream's start: the same units at every step
        return activation_moments(
            model, self.batch_at(step), self.layers, units=self.units, generator=draws, histograms=histograms
        )

    def record(
        self,
        rows: Rows,
        step: int,
        now: Mapping[str, MomentsProbe],
        later: Mapping[str, MomentsProbe],
        regular: bool,
    ) -> None:
        """Rows of `step`, averaged over the tracked units of each layer.

        |Δμ|, |Δσ²| one training step later (suffix `_1`); against the previous step of the schedule's even grid
        (only if `regular`: uneven gaps are not comparable), with the scale-free |Δμ|/σ and W₁/σ; the drift against
        step 0; and the mean and variance of one example unit.

        Args:
            rows: where the rows go.
            step: the probed step.
            now: the moments at the weights and batch of `step`, with histograms if `regular`.
            later: the moments at the weights and batch of `step` + 1.
            regular: whether `step` lies on the even grid of the schedule.
        """
        for name in self.layers:
            layer, after = _Layer.of(now[name]), _Layer.of(later[name])
            first = self._first.setdefault(name, layer)
            values = {
                "mean_abs_change_1": np.abs(after.mean - layer.mean).mean(),
                "variance_abs_change_1": np.abs(after.variance - layer.variance).mean(),
                "relative_mean_change_1": _over_deviation(np.abs(after.mean - layer.mean), layer),
                "mean_drift": (layer.mean - first.mean).mean(),
                "variance_drift": (layer.variance - first.variance).mean(),
                "example_mean": layer.mean[0],
                "example_variance": layer.variance[0],
            }
            if regular and name in self._previous:
                values |= _changes(self._previous[name], layer)
            rows.add(self.probe, step, {key: float(value) for key, value in values.items()}, layer=name)
            if regular:
                self._previous[name] = layer

    def keep_histograms(self, rows: Rows, step: int, now: Mapping[str, MomentsProbe]) -> None:
        """Keep the histogram of each layer's example unit at `step`."""
        for name in self.layers:
            layer = _Layer.of(now[name])
            self._histograms.add(rows.keys, name, int(layer.units[0]), step, layer.edges, layer.counts[0])

    def histograms(self) -> pd.DataFrame:
        """The histograms that were kept: layer, unit, step, left, right, count."""
        return self._histograms.frame()

    def state_dict(self) -> dict[str, Any]:
        """What later steps are compared with, and the histograms so far."""
        compared = {"first": self._first, "previous": self._previous}
        layers = {when: {name: layer.state() for name, layer in found.items()} for when, found in compared.items()}
        return {**layers, "histograms": self._histograms.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the steps of `state`."""
        self._first, self._previous = (
            {name: _Layer(**{field: value.numpy() for field, value in layer.items()}) for name, layer in found.items()}
            for found in (state["first"], state["previous"])
        )
        self._histograms.load_state_dict(state["histograms"])


def _over_deviation(change: np.ndarray, layer: _Layer) -> float:
    deviation = np.sqrt(layer.variance)
    moving = deviation > 0  # a unit that is constant over the batch has no scale to compare with
    return float((change[moving] / deviation[moving]).mean()) if moving.any() else float("nan")


def _changes(previous: _Layer, layer: _Layer) -> dict[str, float]:
    distances = [
        wasserstein(previous.edges, a, layer.edges, b) for a, b in zip(previous.counts, layer.counts, strict=True)
    ]
    return {
        "mean_abs_change": np.abs(layer.mean - previous.mean).mean(),
        "variance_abs_change": np.abs(layer.variance - previous.variance).mean(),
        "relative_mean_change": _over_deviation(np.abs(layer.mean - previous.mean), previous),
        "wasserstein": _over_deviation(np.asarray(distances), previous),
    }
