"""The grid of the training study: every combination is a cell, and every cell has all the seeds."""

import itertools
from dataclasses import dataclass

from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec, TrainSpec


@dataclass(frozen=True)
class GridSpec:
    """Section `grid`. No stage lists it under `params`, so that one more seed trains that seed alone."""

    network: tuple[str, ...]
    norm_layer: tuple[str, ...]
    learning_rate: tuple[float, ...]
    seed: tuple[int, ...]

    def __post_init__(self) -> None:
        for key in ("network", "norm_layer", "learning_rate", "seed"):
            values = getattr(self, key)
            if not values:
                raise InputError(f"grid.{key}: expected at least one entry, got an empty list")
            if len(set(values)) != len(values):
                raise InputError(f"grid.{key}: every entry may appear once, got {list(values)}")

    def runs(self, train: TrainSpec) -> list[RunSpec]:
        """All runs in the order of the DVC matrix (the seed varies fastest)."""
        points = itertools.product(self.network, self.norm_layer, self.learning_rate, self.seed)
        return [RunSpec(*point, train) for point in points]
