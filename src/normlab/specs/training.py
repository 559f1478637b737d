"""The settings of one training run: the `train` section of `params.yaml` and the grid point that a run adds to it."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from normlab.specs import variant
from normlab.specs.parts import family, resolve, slug
from normlab.specs.strict import InputError, require

ADDED_LATER = ("checkpoint_log_until", "precision")
"""Settings of `train` that older runs were made without."""


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

    def is_regular(self, step: int) -> bool:
        """Whether `step` lies on the even grid of the schedule (quantities between probed steps use only these)."""
        return step % self.checkpoint_every == 0


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
        """`<network>-<norm_layer>-<learning rate>-<seed>`, the same as DVC's key of the grid point.

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

    def as_dict(self) -> dict[str, object]:
        """The spec as plain values, without what does not change what was asked.

        The device is where a run happened, `checkpoints` what is left of it. A setting that came later is left out at
        its default, which says what was so before: older runs keep their digests.
        """
        values = dataclasses.asdict(self)
        for name in ("device", "precision_forced", "checkpoints"):
            del values["train"][name]
        del values["variant"]  # `train` says it
        for field in dataclasses.fields(self.train):
            if field.name in ADDED_LATER and values["train"][field.name] == field.default:
                del values["train"][field.name]
        return values

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the spec, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]
