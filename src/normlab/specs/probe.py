"""The settings of the probe stage: the `probe` section of `params.yaml`."""

import math
from dataclasses import dataclass

from normlab.specs.strict import require


@dataclass(frozen=True)
class ProbeSpec:
    """Section `probe`: what is measured at every checkpoint of a run.

    Attributes:
        step_sizes: the paper's grid of the landscape walk, in units of the learning rate.
        extra_step_sizes: further sizes of the same walk, kept out of the summaries (the η_min test), same units.
        random_directions: also walk along a Gaussian direction scaled to ‖g‖.
        distances: ‖w_k − w‖ of the equal-distance walk, absolute (none: no such walk).
        penalty: λ of the walk in the loss with L2 term, f + ½·λ·‖w‖² (0: no such walk; `train.weight_decay` replaces it
            where training has one). The paper's Figure 4(a) seems to contain such a term, of λ ≈ 4e-4.
        relative_steps: of the walk in which every weight matrix or kernel takes the same ‖Δw‖/‖w‖ (none: no such walk).
        curvature: also gᵀHg/gᵀg and ‖Hg‖/‖g‖, the η → 0 limit of the effective β.
        eigenvalue_at: steps at which the largest Hessian eigenvalue is computed.
        units: how many units a layer are followed in the activation statistics.
        batches: on how many minibatches a probed step is measured: training's own, and for the walk along the gradient,
            the curvature and the covariate shift further ones beside it.
        control_every: every how many of the probed steps (from the first on, and at the last update) the dear controls
            are made: random directions, equal distances, relative steps, penalty, curvature, and the covariate shift on
            the further batches.
        gradient_shares: also what every normalizer's backward pass keeps of the gradient and, where normalizers detach
            statistics, the cosine of what training follows with the loss's own gradient.
    """

    step_sizes: tuple[float, ...]
    extra_step_sizes: tuple[float, ...] = ()
    random_directions: bool = True
    distances: tuple[float, ...] = ()
    penalty: float = 0.0
    curvature: bool = True
    eigenvalue_at: tuple[int, ...] = ()
    units: int = 64
    relative_steps: tuple[float, ...] = ()
    batches: int = 1
    control_every: int = 1
    gradient_shares: bool = False

    def __post_init__(self) -> None:
        require(len(self.step_sizes) > 0, "probe.step_sizes", "expected at least one step size", list(self.step_sizes))
        for key in ("step_sizes", "extra_step_sizes", "distances", "relative_steps"):
            for value in getattr(self, key):
                require(math.isfinite(value) and value > 0, f"probe.{key}", "each must be a positive number", value)
        every_size = (*self.step_sizes, *self.extra_step_sizes)
        require(len(set(every_size)) == len(every_size), "probe.step_sizes", "each size once", list(every_size))
        require(0.0 <= self.penalty < 1.0, "probe.penalty", "must be in [0, 1)", self.penalty)
        for key in ("units", "batches", "control_every"):
            require(getattr(self, key) >= 1, f"probe.{key}", "must be at least 1", getattr(self, key))
        for step in self.eigenvalue_at:
            require(step >= 0, "probe.eigenvalue_at", "each must be at least 0", step)
