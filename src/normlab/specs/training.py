"""The settings of one training run: the `train` section of `params.yaml` and the grid point that a run adds to it."""

import dataclasses
import hashlib
import json
import math
import re
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from normlab.specs import variant
from normlab.specs.parts import family, resolve, slug
from normlab.specs.strict import InputError, convert, require
from normlab.specs.yaml12 import load_scalar


def checkpoint_file(step: int) -> str:
    """The place of the checkpoint of `step` in a run's folder."""
    return f"checkpoints/step-{step:06d}.pt"


@dataclass(frozen=True)
class TrainSpec:
    """Section `train`: what every run of the grid shares.

    `checkpoint_every`, `checkpoint_log_until` and `checkpoint_at` together are the probe schedule: weights are kept
    before update t for every t that is a multiple of `checkpoint_every`, is one of 2^(j/2) rounded (1, 2, 3, 4, 6, 8,
    11, 16, …) up to `checkpoint_log_until` or that step itself (0: none of these), or is listed, and after the last
    update (t = `steps`). The even grid runs from 0 on, so that distances between its steps are equal.

    `precision` is the arithmetic of the updates: float32, bf16 (autocast), or tf32 (CUDA). It is refused on a device
    that would emulate it, unless `precision_forced`. With `checkpoints: few` a run is probed while it trains, and keeps
    only the checkpoints that other stages read, and the last.
    """

    width: float
    batch_size: int
    steps: int
    test_every: int
    checkpoint_every: int
    checkpoint_at: tuple[int, ...] = ()
    momentum: float = 0.0
    weight_decay: float = 0.0
    augment: bool = False
    classifier: Literal["linear", "mlp"] = "linear"
    device: str = "auto"
    checkpoint_log_until: int = 0
    precision: Literal["float32", "bf16", "tf32"] = "float32"
    precision_forced: bool = False
    checkpoints: Literal["all", "few"] = "all"

    def __post_init__(self) -> None:
        for key in ("batch_size", "steps", "test_every", "checkpoint_every"):
            require(getattr(self, key) >= 1, f"train.{key}", "must be at least 1", getattr(self, key))
        require(0.0 < self.width <= 4.0, "train.width", "must be above 0 and at most 4", self.width)
        require(0.0 <= self.momentum < 1.0, "train.momentum", "must be in [0, 1)", self.momentum)
        require(0.0 <= self.weight_decay < 1.0, "train.weight_decay", "must be in [0, 1)", self.weight_decay)
        for step in self.checkpoint_at:
            require(0 <= step <= self.steps, "train.checkpoint_at", f"each must be in 0 … {self.steps}", step)
        log_until, accepted = self.checkpoint_log_until, f"must be in 0 … {self.steps}"
        require(0 <= log_until <= self.steps, "train.checkpoint_log_until", accepted, log_until)
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise InputError(f"train.device: expected auto, cpu, cuda or cuda:N, got {self.device!r}")

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """The steps t before whose update a checkpoint is kept, increasing, `steps` included."""
        regular = range(0, self.steps, self.checkpoint_every)
        return tuple(sorted({*regular, *_log_spaced(self.checkpoint_log_until), *self.checkpoint_at, self.steps}))

    def keeps(self, step: int) -> bool:
        """Whether `step` is on the probe schedule."""
        regular = 0 <= step < self.steps and step % self.checkpoint_every == 0
        return regular or step in {*_log_spaced(self.checkpoint_log_until), *self.checkpoint_at, self.steps}

    @property
    def schedule(self) -> str:
        """The probe schedule in words, for messages."""
        single = sorted({*_log_spaced(self.checkpoint_log_until), *self.checkpoint_at, self.steps})
        return f"there are: every {self.checkpoint_every} from 0 on, and {', '.join(map(str, single))}"

    def reached(self, diverged_at: int | None) -> tuple[int, ...]:
        """The steps of the probe schedule that a run comes to: all of them, or those up to where it diverged.

        Args:
            diverged_at: the first update whose loss or gradient was not finite, if any; the state before it is kept.
        """
        return tuple(step for step in self.checkpoint_steps if diverged_at is None or step <= diverged_at)

    def why_not_whole(self, kept: Sequence[int], diverged_at: int | None) -> str:
        """What is wrong with the steps whose checkpoints a finished run has kept; "" if they are those it has to have.

        Of `checkpoints: all` these are all that it reached, of `few` any of them, among them the last of the schedule
        if it came so far.
        """
        reached = self.reached(diverged_at)
        few = set(kept) <= set(reached) and (diverged_at is not None or self.steps in kept)
        if list(kept) == list(reached) or (self.checkpoints == "few" and few):
            return ""
        return f"names checkpoints of the steps {list(kept)}, expected {self.checkpoints} of {list(reached)}"

    def varied(self, text: str, where: str = "variant") -> "TrainSpec":
        """These settings with the differences that a variant names, such as "batch_size=64,weight_decay=0.0004".

        Raises:
            InputError: a setting that may not differ, or a value that it cannot have.
        """
        changes = {}
        for key, value in variant.read(text).items():
            require(key in OVERRIDES, where, f"accepted settings: {', '.join(OVERRIDES)}", key)
            changes[key] = convert(load_scalar(value), OVERRIDES[key], f"{where}: {key}")
        return dataclasses.replace(self, **changes)

    def is_regular(self, step: int) -> bool:
        """Whether `step` lies on the even grid of the schedule (quantities between probed steps use only these)."""
        return step % self.checkpoint_every == 0


MACHINE = ("device", "precision_forced", "checkpoints")
"""Settings that say where a run happens and what is left of it, not what is asked: they enter no name or digest."""

OVERRIDES: dict[str, Any] = {
    name: hint
    for name, hint in typing.get_type_hints(TrainSpec).items()
    if name not in MACHINE and typing.get_origin(hint) is not tuple
}
"""Settings that may differ from run to run, and their types."""


def _log_spaced(until: int) -> set[int]:
    """2^(j/2), j = 0, 1, …, rounded, up to `until`, and `until` itself; nothing up to 0."""
    if until == 0:
        return set()
    halves = range(2 * until.bit_length())
    return {step for j in halves if (step := round(2 ** (j / 2))) < until} | {until}


@dataclass(frozen=True)
class RunSpec:
    """One run: a cell of the grid (network, normalizer, learning rate), its seed, and its settings.

    Attributes:
        variant: how `train` differs from section `train`, such as "weight_decay=0.0004"; "" where it does not.
    """

    network: str
    norm_layer: str
    learning_rate: float
    seed: int
    train: TrainSpec
    variant: str = ""

    def __post_init__(self) -> None:
        resolve(self.network, "network", "grid.network")
        resolve(self.norm_layer, "normalizer", "grid.norm_layer")
        positive = math.isfinite(self.learning_rate) and self.learning_rate > 0
        require(positive, "grid.learning_rate", "must be a positive number", self.learning_rate)
        require(self.seed >= 0, "grid.seed", "must be a whole number of at least 0", self.seed)

    @property
    def name(self) -> str:
        """`<network>-<norm_layer>-<learning rate>-<seed>`, and what the variant is: the key of the run in runs.yaml.

        A dotted path `module:attribute` is written `module.attribute` in it.
        """
        network, norm_layer = slug(self.network), slug(self.norm_layer)
        return f"{network}-{norm_layer}-{self.learning_rate}-{self.seed}{variant.suffix(self.variant)}"

    @property
    def study(self) -> str:
        """The family the network belongs to: `vgg` or `resnet`, or a dotted path as it stands in `name`."""
        return family(self.network)

    @property
    def keys(self) -> dict[str, object]:
        """What names the run in a table: the values of `normlab.tables.rows.KEYS`."""
        point = {"study": self.study, "network": self.network, "norm_layer": self.norm_layer}
        return {**point, "learning_rate": self.learning_rate, "variant": self.variant, "seed": self.seed}

    def as_dict(self) -> dict[str, Any]:
        """The spec as plain values, without the settings of `MACHINE` and without those that have their default.

        So a setting that is new makes no difference to the runs that do not use it.
        """
        return {**_changed(self), "train": _changed(self.train)}

    @property
    def settings(self) -> dict[str, Any]:
        """`as_dict` with the settings that have their default, to be shown."""
        values = dataclasses.asdict(self.train)
        return {**_changed(self), "train": {key: value for key, value in values.items() if key not in MACHINE}}

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the spec, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


def check_steps(steps: Iterable[int], run: RunSpec, where: str) -> None:
    """Refuse steps of which a run keeps no checkpoint.

    Args:
        steps: the steps asked for.
        run: the run.
        where: the key of params.yaml, for the message.

    Raises:
        InputError: a step is not on the schedule of the run.
    """
    for step in steps:
        if not run.train.keeps(step):
            raise InputError(f"{where}: {run.name} keeps no checkpoint of step {step}; {run.train.schedule}")


def _changed(spec: Any) -> dict[str, Any]:
    """The fields of a dataclass that have another value than their default, those of `MACHINE` left out."""
    values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}
    return {
        field.name: list(values[field.name]) if isinstance(values[field.name], tuple) else values[field.name]
        for field in dataclasses.fields(spec)
        if field.name not in MACHINE and values[field.name] != field.default
    }
