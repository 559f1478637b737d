r"""How the distribution of a layer's activations moves during training of the deep linear network.

    mu_j, sigma_j^2: mean and variance of unit j over the N samples

of the normalizer's output `layers.normK` (rows `activations`), and of its input, the output of `layers.linearK` (rows
`activations_fixed`, as the probe stage calls what is measured on one batch for the whole run; here all of it is). A
normalizer's output has the mean beta and about the variance gamma^2 by construction, its input has neither. For "none"
both are the output of `layers.linearK`.

Averages over all units of a layer: |mu_{t+1} - mu_t| and |sigma^2_{t+1} - sigma^2_t| one training step apart (suffix
`_1`) and between successive probed steps, the scale-free |Delta mu| / sigma_t and W1 / sigma_t, and the signed drift
since step 0; and the moments of one example unit. W1 is exact: the mean distance of the sorted samples.

Place in the paper: Section 2.1, Appendix A.2.1 and B, Figure 9; for VGG Figure 8. The probe stage records the same
quantities for the other networks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from normlab import seeding
from normlab.studies.deep_linear.problem import Problem
from normlab.studies.deep_linear.rows import CellRows
from normlab.tables.rows import Histograms

HISTOGRAM_BINS = 50


class DeepLinearTrack:
    """Follows the same units of the same layers of every seed.

    Args:
        problem: the S problems.
        layers: numbers K of the layers, from 1; below the depth.
        features: units a layer.
        probe: the name of the rows.
        tap: "norm" or "linear", whose outputs are followed.
    """

    def __init__(
        self, problem: Problem, layers: Sequence[int], features: int, probe: str = "activations", tap: str = "norm"
    ) -> None:
        self.problem, self.layers = problem, tuple(layers)
        self.probe, self.names = probe, [f"layers.{tap}{layer}" for layer in layers]
        draws = [
            [int(torch.randint(features, (), generator=seeding.generator(seed, "units", layer))) for layer in layers]
            for seed in problem.seeds
        ]
        self.examples = torch.tensor(draws)  # (S, L)
        self._first: tuple[Tensor, Tensor] | None = None
        self._previous: tuple[Tensor, Tensor, Tensor] | None = None
        self._histograms = Histograms()

    def record(self, rows: CellRows, step: int, maps: Tensor, maps_after: Tensor) -> None:
        """Rows of one probed step.

        Args:
            rows: where the rows go.
            step: the step.
            maps: (S, K, F, F+1), one of `Network.layer_maps` at the step's weights.
            maps_after: the same one training step later.
        """
        chosen = self._select(maps)
        mean, variance = moments(chosen)
        mean_after, variance_after = moments(self._select(maps_after))
        ordered = self.samples(maps).sort(-1).values
        self._first = self._first or (mean, variance)
        values = {
            "mean_abs_change_1": _average((mean_after - mean).abs()),
            "variance_abs_change_1": _average((variance_after - variance).abs()),
            "relative_mean_change_1": _average((mean_after - mean).abs() / variance.sqrt()),
            "mean_drift": _average(mean - self._first[0]),
            "variance_drift": _average(variance - self._first[1]),
            "example_mean": mean.gather(2, self.examples[..., None])[..., 0],
            "example_variance": variance.gather(2, self.examples[..., None])[..., 0],
        }
        if self._previous is not None:
            old_mean, old_variance, old_ordered = self._previous
            deviation = old_variance.sqrt()
            values |= {
                "mean_abs_change": _average((mean - old_mean).abs()),
                "variance_abs_change": _average((variance - old_variance).abs()),
                "relative_mean_change": _average((mean - old_mean).abs() / deviation),
                "wasserstein": _average((ordered - old_ordered).abs().mean(-1) / deviation),
            }
        self._previous = (mean, variance, ordered)
        for index, name in enumerate(self.names):
            of_layer = {quantity: value[:, index] for quantity, value in values.items()}
            rows.add(self.probe, step, of_layer, layer=name)

    def samples(self, maps: Tensor) -> Tensor:
        """The layers' outputs on all samples: (S, L, F, N)."""
        return self._select(maps) @ self.problem.samples[:, None]

    def record_histograms(self, rows: CellRows, step: int, maps: Tensor, runs: int) -> None:
        """The example unit's histogram in each layer, for the first `runs` seeds; none where samples are not finite."""
        outputs = self.samples(maps)
        for index, run in enumerate(rows.runs[:runs]):
            for number, name in enumerate(self.names):
                unit = int(self.examples[index, number])
                values = outputs[index, number, unit].numpy()
                if not np.isfinite(values).all():
                    continue
                counts, edges = np.histogram(values, bins=HISTOGRAM_BINS)
                self._histograms.add(run.keys, name, unit, step, edges, counts.astype(np.float64))

    def histograms(self) -> pd.DataFrame:
        """All histograms: one row a run × layer × step × bin."""
        return self._histograms.frame()

    def state_dict(self) -> dict[str, Any]:
        """What later steps are compared with, and the histograms so far."""
        return {"first": self._first, "previous": self._previous, "histograms": self._histograms.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the steps of `state`."""
        self._first, self._previous = state["first"], state["previous"]
        self._histograms.load_state_dict(state["histograms"])

    def _select(self, maps: Tensor) -> Tensor:
        return maps[:, torch.tensor(self.layers) - 1]


def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance over the samples of every unit of the maps (..., F, F+1): exact, no sample is touched."""
    return maps[..., -1], maps[..., :-1].square().sum(-1)


def _average(per_unit: Tensor) -> Tensor:
    return per_unit.mean(-1)
