"""The settings of the deep linear study: sections `dln_grid`, `dln` and `dln_scan` of `params.yaml`."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from normlab.specs import variant
from normlab.specs.parts import names
from normlab.specs.strict import InputError, convert, require
from normlab.specs.yaml12 import load_scalar

OVERRIDES = {"affine": bool, "last_layer": bool}
"""Settings of section `dln` that may differ from cell to cell, and their types."""


def check_point(norm_layer: str, learning_rate: float, where: str) -> None:
    """Refuse a normalizer or learning rate that the study does not know.

    Raises:
        InputError: with the key, the value and what is accepted.
    """
    known = names("scale")
    require(norm_layer in known, f"{where}.norm_layer", f"accepted: {', '.join(known)}", norm_layer)
    positive = math.isfinite(learning_rate) and learning_rate > 0
    require(positive, f"{where}.learning_rate", "must be a positive number", learning_rate)


@dataclass(frozen=True)
class DlnCell:
    """A cell of the deep linear study.

    Attributes:
        variant: how its settings differ from section `dln`, such as "affine=false"; "" where they do not.
    """

    norm_layer: str
    learning_rate: float
    variant: str = ""

    @property
    def name(self) -> str:
        """`<norm_layer>-<learning rate>` and the variant: the key of the cell in runs.yaml, and its folder's name."""
        return f"{self.norm_layer}-{self.learning_rate}{variant.suffix(self.variant)}"

    @property
    def keys(self) -> dict[str, object]:
        """What its seeds share of `normlab.tables.rows.KEYS`."""
        point = {"study": "dln", "network": "dln", "norm_layer": self.norm_layer}
        return {**point, "learning_rate": self.learning_rate, "variant": self.variant}

    @property
    def arguments(self) -> str:
        """The options of stage `dln` that name the cell."""
        options = f"--norm-layer {self.norm_layer} --learning-rate {self.learning_rate}"
        return options + (f" --variant {self.variant}" if self.variant else "")


@dataclass(frozen=True)
class DlnGridSpec:
    """Section `dln_grid`: the cells, normalizers × learning rates × variants. No stage that runs a cell depends on it.

    Attributes:
        norm_layer: normalizers.
        learning_rate: rates.
        variant: settings that differ from section `dln`, each a text such as "last_layer=true" or
            "affine=false,last_layer=true" (in the order of the alphabet); "" for the section as it is. The plain
            network, in which there is nothing to vary, has that one alone.
    """

    norm_layer: tuple[str, ...]
    learning_rate: tuple[float, ...]
    variant: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        for key in ("norm_layer", "learning_rate", "variant"):
            _require_distinct(f"dln_grid.{key}", getattr(self, key))
        for norm_layer, learning_rate in itertools.product(self.norm_layer, self.learning_rate):
            check_point(norm_layer, learning_rate, "dln_grid")
        require("" in self.variant, "dln_grid.variant", 'one entry must be ""', list(self.variant))
        for text in self.variant:
            canonical = variant.write(read_variant(text, "dln_grid.variant"))
            require(text == canonical, "dln_grid.variant", f"must be written {canonical!r}", text)

    @property
    def cells(self) -> list[DlnCell]:
        """All of them, the variant varying slowest."""
        points = itertools.product(self.variant, self.norm_layer, self.learning_rate)
        return [DlnCell(kind, rate, text) for text, kind, rate in points if kind != "none" or not text]


def read_variant(text: str, where: str) -> dict[str, Any]:
    """The settings that a variant names and their values.

    Raises:
        InputError: a setting that may not differ, or a value that it cannot have.
    """
    found = {}
    for key, value in variant.read(text).items():
        require(key in OVERRIDES, where, f"accepted settings: {', '.join(OVERRIDES)}", key)
        found[key] = convert(load_scalar(value), OVERRIDES[key], f"{where}: {key}")
    return found


@dataclass(frozen=True)
class DlnSpec:
    """Section `dln`: what every cell shares.

    Attributes:
        depth: number of matrices k.
        features: F, the matrices are F×F.
        samples: N, the full batch.
        seeds: each draws its own inputs, teacher and initial weights; all run in one batch.
        steps: updates of gradient descent.
        affine: learn γ and β in the normalizers, as `normlab.nn.deep_linear` does.
        eps: of the normalizers.
        loss_every: loss and gradient norm are recorded at the first 100 steps, every `loss_every`-th and the last.
        probe_every: landscape walk, covariate shift, stretch and activations; also at step 0 and after the last update.
        control_every: random directions, equal distances, relative steps, norms of gradients and weights by layer; a
            multiple of `probe_every`.
        sharpness_every: the largest Hessian eigenvalue; a multiple of `probe_every`.
        histogram_every: activation histograms; a multiple of `probe_every`.
        step_sizes: of the walk, in units of the learning rate: the paper's.
        extra_step_sizes: further ones, kept out of the bands and of `effective_beta`.
        distances: ‖w_k − w‖ of the equal-distance walk.
        shift_layers: numbers of the layers whose covariate shift is measured.
        activation_layers: numbers of the layers whose activations are followed.
        histogram_seeds: histograms are kept for this many of the seeds.
        eigenvalue_products: Hessian-vector products at most for one eigenvalue.
        relative_steps: of the walk in which every matrix takes the same ||dW||/||W|| (none: no such walk).
        last_layer: a normalizer after the last matrix as well (the paper does not say; without `affine` the targets'
            scale is out of reach then).
    """

    depth: int
    features: int
    samples: int
    seeds: tuple[int, ...]
    steps: int
    affine: bool
    eps: float
    loss_every: int
    probe_every: int
    control_every: int
    sharpness_every: int
    histogram_every: int
    step_sizes: tuple[float, ...]
    extra_step_sizes: tuple[float, ...]
    distances: tuple[float, ...]
    shift_layers: tuple[int, ...]
    activation_layers: tuple[int, ...]
    histogram_seeds: int = 1
    eigenvalue_products: int = 60
    last_layer: bool = False
    relative_steps: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for key, least in (("depth", 2), ("features", 1), ("steps", 1), ("loss_every", 1), ("probe_every", 1),
                           ("histogram_seeds", 1), ("eigenvalue_products", 1)):  # fmt: skip
            require(getattr(self, key) >= least, f"dln.{key}", f"must be at least {least}", getattr(self, key))
        spans = f"must be above features ({self.features}), so that the samples span the space"
        require(self.samples > self.features, "dln.samples", spans, self.samples)
        require(math.isfinite(self.eps) and self.eps >= 0, "dln.eps", "must be a finite number of at least 0", self.eps)
        for key in ("control_every", "sharpness_every", "histogram_every", "steps"):
            value = getattr(self, key)
            fits = value >= 1 and value % self.probe_every == 0
            require(fits, f"dln.{key}", f"must be a multiple of probe_every ({self.probe_every})", value)
        for key in ("seeds", "step_sizes", "distances", "shift_layers", "activation_layers"):
            _require_distinct(f"dln.{key}", getattr(self, key))
        sizes = (*self.step_sizes, *self.extra_step_sizes)
        require(len(set(sizes)) == len(sizes), "dln.extra_step_sizes", "each size once, with step_sizes", list(sizes))
        for key in ("step_sizes", "extra_step_sizes", "distances", "relative_steps"):
            for size in getattr(self, key):
                require(math.isfinite(size) and size > 0, f"dln.{key}", "each must be a positive number", size)
        for seed in self.seeds:
            require(seed >= 0, "dln.seeds", "each must be at least 0", seed)
        for key, last in (("shift_layers", self.depth), ("activation_layers", self.depth - 1)):
            for layer in getattr(self, key):
                require(1 <= layer <= last, f"dln.{key}", f"each must be in 1 … {last}", layer)

    def varied(self, text: str, where: str = "variant") -> "DlnSpec":
        """These settings with the differences that a variant names, such as "affine=false".

        Raises:
            InputError: a setting that may not differ, a value that it cannot have, or no difference.
        """
        changes = read_variant(text, where)
        for key, value in changes.items():
            if getattr(self, key) == value:
                raise InputError(f"{where}: {key}={str(value).lower()} is what section `dln` says, so it is no variant")
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class DlnScanSpec:
    """Section `dln_scan`: which learning rates each normalizer can use; short runs, losses only.

    Attributes:
        norm_layer: normalizers.
        learning_rate: rates, all in one batch.
        steps: updates of each run.
        loss_every: the loss is recorded at every `loss_every`-th step and the last.
    """

    norm_layer: tuple[str, ...]
    learning_rate: tuple[float, ...]
    steps: int
    loss_every: int

    def __post_init__(self) -> None:
        for norm_layer, learning_rate in itertools.product(self.norm_layer, self.learning_rate):
            check_point(norm_layer, learning_rate, "dln_scan")
        for key in ("norm_layer", "learning_rate"):
            _require_distinct(f"dln_scan.{key}", getattr(self, key))
        for key in ("steps", "loss_every"):
            require(getattr(self, key) >= 1, f"dln_scan.{key}", "must be at least 1", getattr(self, key))


def _require_distinct(where: str, values: Sequence[object]) -> None:
    distinct = len(values) > 0 and len(set(values)) == len(values)
    require(distinct, where, "expected at least one entry, each once", list(values))
