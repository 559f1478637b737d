"""The grids of the training study: in each, every combination is a cell, and every cell has all the seeds.

`grid` holds what the claims compare at one learning rate. The other two are sparse on purpose, so that a sweep of rates
or another architecture does not multiply every normalizer: `learning_rate_grid` (own best rate, largest usable rate)
and `network_grid` (beyond the paper: residual networks, other normalizers).
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from normlab.specs.strict import InputError, build
from normlab.specs.training import RunSpec, TrainSpec


@dataclass(frozen=True)
class GridSpec:
    """Section `grid`.

    No stage that makes a run lists a grid under `params`, so that one more seed trains that seed alone.
    """

    may_be_empty: ClassVar[bool] = False

    network: tuple[str, ...]
    norm_layer: tuple[str, ...]
    learning_rate: tuple[float, ...]
    seed: tuple[int, ...]

    def __post_init__(self) -> None:
        for key in ("network", "norm_layer", "learning_rate", "seed"):
            values = getattr(self, key)
            if not values and not self.may_be_empty:
                raise InputError(f"grid.{key}: expected at least one entry, got an empty list")
            if len(set(values)) != len(values):
                raise InputError(f"grid.{key}: every entry may appear once, got {list(values)}")

    def runs(self, train: TrainSpec) -> list[RunSpec]:
        """All runs in the order of the DVC matrix (the seed varies fastest)."""
        points = itertools.product(self.network, self.norm_layer, self.learning_rate, self.seed)
        return [RunSpec(*point, train) for point in points]


@dataclass(frozen=True)
class SparseGridSpec(GridSpec):
    """Section `learning_rate_grid` or `network_grid`; an empty list means that there are no such runs."""

    may_be_empty: ClassVar[bool] = True


@dataclass(frozen=True)
class PlannedRun:
    """A run and the ending that its grid gives to the names of its stages.

    Attributes:
        spec: the run.
        suffix: "" in `grid`, "_learning_rate" in `learning_rate_grid`, "_network" in `network_grid`.
    """

    spec: RunSpec
    suffix: str

    def stage(self, program: str) -> str:
        """The DVC stage of `program` (train or probe) for this run, such as train_network@resnet20-batch-0.1-0."""
        return f"{program}{self.suffix}@{self.spec.name}"


def planned_runs(params: Mapping[str, Any]) -> list[PlannedRun]:
    """The runs of all grids of a parameter file; only `grid` has to be there.

    Raises:
        InputError: a section is missing or cannot be used; two grids name the same run.
    """
    train = build(TrainSpec, params.get("train"), "train")
    runs = [PlannedRun(spec, "") for spec in build(GridSpec, params.get("grid"), "grid").runs(train)]
    with _named("learning_rate_grid"):
        if "learning_rate_grid" in params:
            grid = build(SparseGridSpec, params["learning_rate_grid"], "learning_rate_grid")
            runs += [PlannedRun(spec, "_learning_rate") for spec in grid.runs(train)]
    with _named("network_grid"):
        if "network_grid" in params:
            grid = build(SparseGridSpec, params["network_grid"], "network_grid")
            runs += [PlannedRun(spec, "_network") for spec in grid.runs(train)]
    names = [run.spec.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"grid, learning_rate_grid, network_grid: every run may be named once, got {name} twice")
    return runs


@contextmanager
def _named(section: str) -> Iterator[None]:
    """Errors of a grid's values, which say `grid.…`, name the section that they stand in."""
    try:
        yield
    except InputError as error:
        raise InputError(re.sub(r"^grid\.", f"{section}.", str(error))) from None
