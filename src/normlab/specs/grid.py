"""The grid of training runs: a list of blocks, each a product of its values."""

import dataclasses
import itertools
import math
import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from normlab.specs import variant
from normlab.specs.strict import InputError, build, convert, join
from normlab.specs.training import OVERRIDES, RunSpec, TrainSpec


@dataclass(frozen=True)
class Block:
    """An entry of section `grid`: every combination is a cell, and every cell has all the seeds.

    No stage that makes a run lists the grid under `params`, so that one more seed trains that seed alone.

    Attributes:
        network: names, or dotted paths.
        norm_layer: names, or dotted paths.
        learning_rate: rates.
        seed: seeds.
        overrides: other values, in this block, of settings in section `train`; in the file they stand beside the
            four keys above, one value or a list. A run where they make a difference is a variant.
    """

    network: tuple[str, ...]
    norm_layer: tuple[str, ...]
    learning_rate: tuple[float, ...]
    seed: tuple[int, ...]
    overrides: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, raw: object, where: str) -> "Block":
        """The block from its mapping in the file.

        Raises:
            InputError: an unknown or missing key, a wrong type, an empty list, or an entry that stands twice.
        """
        if not isinstance(raw, dict):
            raise InputError(f"{where}: expected a mapping, got {raw!r}")
        hints = typing.get_type_hints(cls)
        point = [entry.name for entry in dataclasses.fields(cls) if entry.name != "overrides"]
        values: dict[str, tuple[Any, ...]] = {}
        for key, value in raw.items():
            place = join(where, key)
            if key not in point and key not in OVERRIDES:
                raise InputError(f"{place}: unknown key; accepted: {', '.join([*point, *OVERRIDES])}")
            one_value = key in OVERRIDES and not isinstance(value, list)
            hint = hints[key] if key in point else tuple[OVERRIDES[key], ...]  # type: ignore[valid-type]
            values[key] = convert([value] if one_value else value, hint, place)
            if not values[key]:
                raise InputError(f"{place}: expected at least one entry, got an empty list")
            if len(set(values[key])) != len(values[key]):
                raise InputError(f"{place}: every entry may appear once, got {value}")
        for key in point:
            if key not in values:
                raise InputError(f"{join(where, key)}: missing; expected a list")
        overrides = {key: entries for key, entries in values.items() if key not in point}
        return cls(**{key: values[key] for key in point}, overrides=overrides)

    def runs(self, train: TrainSpec, where: str = "grid") -> list[RunSpec]:
        """All runs, the seed varying fastest.

        Args:
            train: the shared settings.
            where: the block's place in the file, for messages.

        Raises:
            InputError: a value that a run cannot have.
        """
        names = list(self.overrides)
        axes = (self.network, self.norm_layer, self.learning_rate, *self.overrides.values(), self.seed)
        runs = []
        for network, norm_layer, learning_rate, *values, seed in itertools.product(*axes):
            chosen = dict(zip(names, values, strict=True))
            different = variant.write({key: value for key, value in chosen.items() if value != getattr(train, key)})
            with _named(where):
                runs.append(RunSpec(network, norm_layer, learning_rate, seed, train.varied(different), different))
        return runs


@dataclass(frozen=True)
class PlannedRun:
    """A run of the grid; `block` is the place of its block there, and blocks stand in the order of their value."""

    spec: RunSpec
    block: int = 0

    def stage(self, program: str) -> str:
        """The DVC stage that does what `program` (train or probe) does for this run: train@resnet20-batch-0.1-0.

        Runs that keep few checkpoints are trained and probed by one, measure@….
        """
        return f"{'measure' if self.spec.train.checkpoints == 'few' else program}@{self.spec.name}"


def planned_runs(params: Mapping[str, Any]) -> list[PlannedRun]:
    """The runs of a parameter file, of which only `grid` and `train` are looked at.

    Raises:
        InputError: a section is missing or cannot be used; two blocks name the same run.
    """
    train = build(TrainSpec, params.get("train"), "train")
    return plan(convert(params.get("grid"), tuple[Block, ...], "grid"), train)


def plan(blocks: Sequence[Block], train: TrainSpec) -> list[PlannedRun]:
    """The runs of all blocks, in order.

    Raises:
        InputError: a value that a run cannot have; two blocks name the same run.
    """
    found: dict[str, int] = {}
    runs = []
    for index, block in enumerate(blocks):
        for run in block.runs(train, f"grid[{index}]"):
            if run.name in found:
                raise InputError(
                    f"grid[{index}]: {run.name} is a run of grid[{found[run.name]}] too; every run may be named once"
                )
            found[run.name] = index
            runs.append(PlannedRun(run, index))
    return runs


def compared(
    runs: Sequence[RunSpec], norm_layers: Collection[str], network: str, learning_rate: float
) -> list[RunSpec]:
    """Those runs that the claims compare and that have one of some normalizers.

    Claims compare runs with the shared settings, of one network at one rate (`analyze.network`,
    `analyze.learning_rate`).
    """
    return [
        run
        for run in runs
        if run.norm_layer in norm_layers and (run.network, run.variant) == (network, "")
        if math.isclose(run.learning_rate, learning_rate, rel_tol=1e-6)
    ]


def of_other_length(runs: Sequence[RunSpec], network: str, learning_rate: float) -> list[RunSpec]:
    """Runs that are compared although they are trained for another number of steps than the shared one.

    The first N updates of a run do not depend on how many follow, and each comparison is made over the steps that both
    sides have. So where a normalizer has no run with the shared settings (of this network, at this rate), its longest
    runs that differ in `steps` alone take their place.
    """
    of_normalizer: dict[str, list[RunSpec]] = {}
    for run in runs:
        at_rate = math.isclose(run.learning_rate, learning_rate, rel_tol=1e-6)
        if run.network == network and at_rate and not variant.length_aside(run.variant)[0]:
            of_normalizer.setdefault(run.norm_layer, []).append(run)
    chosen = []
    for found in of_normalizer.values():
        if all(run.variant for run in found):
            longest = max(run.train.steps for run in found)
            chosen += [run for run in found if run.train.steps == longest]
    return chosen


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Errors of a run's values, which say `grid.…` or `train.…`, name the block that they stand in."""
    try:
        yield
    except InputError as error:
        raise InputError(re.sub(r"^(grid|train)\.", f"{where}.", str(error))) from None
