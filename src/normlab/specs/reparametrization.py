"""The settings of the reparametrization stage: the `reparametrization` section of `params.yaml`."""

import math
from dataclasses import dataclass

from normlab.specs.strict import InputError, require


@dataclass(frozen=True)
class ReparametrizationSpec:
    """Section `reparametrization`: where BatchNorm is put into trained plain networks, and what is measured.

    Attributes:
        norm_layer: the runs of `grid` that it is put into: `[none]`, or an empty list where the grid has no such runs.
        steps: checkpoints of each run.
        step_sizes: of the landscape walk, in units of the run's learning rate.
        distances: ‖w_k − w‖ of the equal-distance walk, absolute (none: no such walk).
        learned_affine: also measure with gamma and beta among the parameters of the walk (norm_layer `batch_affine`);
            the theory keeps them constant.
    """

    norm_layer: tuple[str, ...]
    steps: tuple[int, ...]
    step_sizes: tuple[float, ...]
    distances: tuple[float, ...] = ()
    learned_affine: bool = False

    def __post_init__(self) -> None:
        accepted = self.norm_layer in ((), ("none",))
        require(accepted, "reparametrization.norm_layer", "accepted: [none], or [] for no run", list(self.norm_layer))
        for key in ("steps", "step_sizes", "distances"):
            values = getattr(self, key)
            if key != "distances":
                require(len(values) > 0, f"reparametrization.{key}", "expected at least one entry", list(values))
            if len(set(values)) != len(values):
                raise InputError(f"reparametrization.{key}: every entry may appear once, got {list(values)}")
        for step in self.steps:
            require(step >= 0, "reparametrization.steps", "each must be at least 0", step)
        for key in ("step_sizes", "distances"):
            for value in getattr(self, key):
                positive = math.isfinite(value) and value > 0
                require(positive, f"reparametrization.{key}", "each must be a positive number", value)
