"""Synthetic studies in the tidy schema: every number of a run is chosen, so that a claim is true, false or undecidable.

A `Kind` says what a network with some normalizer is like; a field is one number, or one a seed. The curves are the
simplest that have these numbers, over the paper's steps; training is recorded every 100 steps, as in its figures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cells
from normlab.specs.analyze import AnalyzeSpec
from normlab.tables.frames import combine
from normlab.tables.rows import Rows

STEPS, DLN_STEPS, RECORDED = 15_000, 10_000, 100
PROBED = (0, 100, 200, 300, 600, 1500, 3000, 4500, 6000, 9000, 10500, 12000, 13500, 15000)
DLN_PROBED = (0, 50, 100, 500, 1000, 2000, 4000, 7000, 8500, 10000)
SIZES = (0.25, 0.5, 1.0, 2.0, 4.0)  # in learning rates; the first is outside the summaries
DLN_SIZES = (0.01, 0.1, 1.0, 10.0, 31.6)
LAYERS = (1, 2, 9, 11, 13)
WALKS = (
    "landscape",
    "landscape_random",
    "landscape_equal_distance",
    "landscape_penalized",
    "landscape_relative",
    "landscape_random_relative",
)
SPEC = AnalyzeSpec(
    studies=("training",),
    network="vgg11",
    learning_rate=0.1,
    dln_learning_rate=1e-6,
    window=1,
    confidence=0.95,
    resamples=400,
    seed=0,
)
Number = float | Sequence[float]


@dataclass(frozen=True)
class Kind:
    """What a network is like.

    Attributes:
        reach: the step at which its training accuracy first is 0.9 (it rises linearly to `final` and stays).
        final: the accuracy at which it stays.
        test: final test accuracy; `held_out` the accuracy on held-out images.
        rough: loss band of the walk; `near` at step sizes of at most the learning rate.
        random: factor on the loss band along random directions.
        distance: largest gradient change; `beta` the effective β before the late phase; `near_beta` up to the rate.
        turn: cosine of the gradient along the walk with the gradient.
        plateau: late β_k is 1/η_k instead of `beta`.
        start: factor on shift, distance and β at step 0, which `until` is the last step to have.
        move: movement of the normalizers' outputs in every layer; `move_conv` of the convolutions'.
        shift: ℓ2 of the covariate shift; `cosine` its cosine.
        loss: final loss of a deep linear network.
        layers: the numbers of the layers that are measured; the last one is how many it has.
        diverged_at: the step at which it diverged, or none; for one seed only if `diverged_seed` is given.
        steps: planned updates.
    """

    reach: Number = 6000.0
    final: Number = 1.0
    test: Number = 0.8
    held_out: Number = 0.8
    rough: Number = 1.0
    near: Number = 0.5
    random: Number = 1.0
    distance: Number = 1.0
    beta: Number = 10.0
    near_beta: Number = 5.0
    turn: Number = 0.5
    plateau: bool = False
    start: Number = 1.0
    until: Number = 0.0
    move: Number = 1.0
    move_conv: Number = 1.0
    shift: Number = 1.0
    cosine: Number = 0.5
    loss: Number = 100.0
    layers: tuple[int, ...] = LAYERS
    diverged_at: int | None = None
    diverged_seed: int | None = None
    steps: int = STEPS

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):  # hashable, so that equal runs are made once
                object.__setattr__(self, name, tuple(value))

    def at(self, field: str, seed: int) -> float:
        """The field's number for a seed."""
        value = getattr(self, field)
        return float(value[seed]) if isinstance(value, tuple) else float(value)

    def gone(self, seed: int) -> int | None:
        """The step at which a seed diverged."""
        return self.diverged_at if self.diverged_seed in (None, seed) else None

    def accuracy(self, seed: int, step: int) -> float:
        """Training accuracy at a step."""
        reach, final = self.at("reach", seed), self.at("final", seed)
        return min(0.9 * (step + 1) / reach, final) if step + 1 < reach else final


@cache
def training_run(norm_layer: str, rate: float, seed: int, kind: Kind) -> pd.DataFrame:
    """History, test and probes of one run of a VGG."""
    records = Rows({"study": "vgg", "network": "vgg11", "norm_layer": norm_layer, "learning_rate": rate, "seed": seed})
    gone = kind.gone(seed)
    end = kind.steps if gone is None else gone + 1
    steps = [*range(0, end, RECORDED)] + ([gone] if gone is not None and gone % RECORDED else [])
    for step in steps:
        loss = math.nan if step == gone else 3.0 * math.exp(-2.0 * (step + 1) / STEPS)
        records.add("history", step, {"loss": loss, "train_accuracy": kind.accuracy(seed, step), "grad_norm": 1.0})
    records.add("test", end, {"test_loss": 1.0, "test_accuracy": kind.at("test", seed)})
    for step in (0, end):
        records.add("held_out", step, {"held_out_accuracy": kind.at("held_out", seed)})
    records.add("summary", end, {"steps": kind.steps, "diverged_at": math.nan if gone is None else gone})
    for place in range(1, kind.layers[-1] + 1):
        for tap in ("conv", "norm"):
            records.add("structure", 0, {"place": place}, layer=f"features.{tap}{place}")
    for step in (step for step in PROBED if step <= end):
        add_walks(records, step, rate, seed, kind)
        add_layers(records, step, seed, kind)
    return records.frame()


def add_walks(
    records: Rows,
    step: int,
    rate: float,
    seed: int,
    kind: Kind,
    sizes: Sequence[float] = SIZES,
    walks: Sequence[str] = WALKS,
) -> None:
    """The walks of one step, with the same numbers along the gradient, random directions and equal distances."""
    start = kind.at("start", seed) if step <= kind.at("until", seed) else 1.0
    late = step > 0.7 * STEPS
    betas = [kind.at("near_beta" if size <= 1 else "beta", seed) * start for size in sizes]
    if kind.plateau and late:
        betas = [1 / (size * rate) for size in sizes]
    distance, base = kind.at("distance", seed) * start, 2.0 * (1.05 - kind.accuracy(seed, step))
    for probe in walks:
        band = kind.at("rough", seed) * (kind.at("random", seed) if "random" in probe else 1.0)
        summary = {
            "loss": base,
            "grad_norm": 1.0,
            "loss_range": band,
            "loss_range_steps": band,
            "gradient_distance_high": distance,
            "effective_beta": max(betas[1:]),
        }
        records.add(probe, step, summary)
        for size, beta in zip(sizes, betas, strict=True):
            rise = 0.0 if size < 1 else kind.at("near", seed) if size == 1 else band
            values = {"loss": base + rise, "gradient_distance": distance, "beta": beta}
            records.add(probe, step, values | {"gradient_cosine": kind.at("turn", seed)}, step_size=size * rate)
    records.add("curvature", step, {"stretch": betas[0]})
    if step % 3000 == 0:
        records.add("curvature", step, {"top_eigenvalue": 2 / rate})


def add_layers(records: Rows, step: int, seed: int, kind: Kind) -> None:
    """Shift, gradients and activations of one step; nothing precedes the first layer."""
    start = kind.at("start", seed) if step <= kind.at("until", seed) else 1.0
    names = ("mean_abs_change", "variance_abs_change", "wasserstein", "relative_mean_change")
    one_step = ("mean_abs_change_1", "variance_abs_change_1", "relative_mean_change_1")
    for layer in kind.layers:
        shift = {"l2": kind.at("shift", seed) * start, "relative_l2": kind.at("shift", seed)}
        first = {"l2": 0.0, "relative_l2": 0.0, "cosine": 1.0}
        later = {**shift, "cosine": kind.at("cosine", seed)}
        records.add("shift", step, first if layer == 1 else later, layer=f"features.conv{layer}")
        records.add("gradients", step, {"layer_grad_norm": 2.0**-layer}, layer=f"features.conv{layer}")
        for probe, field, tap in (
            ("activations", "move", "norm"),
            ("activations_fixed", "move", "norm"),
            ("activations_fixed", "move_conv", "conv"),
        ):
            moves = dict.fromkeys(names, kind.at(field, seed) * layer) if step else {}
            moves |= dict.fromkeys(one_step, kind.at(field, seed))
            records.add(probe, step, moves, layer=f"features.{tap}{layer}")


@cache
def deep_linear_run(norm_layer: str, rate: float, seed: int, kind: Kind) -> pd.DataFrame:
    """History and probes of one seed of the deep linear network."""
    records = Rows({"study": "dln", "network": "dln", "norm_layer": norm_layer, "learning_rate": rate, "seed": seed})
    for step in (0, DLN_STEPS):
        records.add("history", step, {"loss": kind.at("loss", seed) if step else 1e4, "grad_norm": 1.0})
    gone = kind.gone(seed)
    records.add("summary", DLN_STEPS, {"steps": DLN_STEPS, "diverged_at": math.nan if gone is None else gone})
    for step in (step for step in DLN_PROBED if gone is None or step <= gone):
        add_walks(records, step, rate, seed, kind, DLN_SIZES, WALKS[:1])
        for layer in (9, 17):
            records.add("shift", step, {"cosine": kind.at("cosine", seed)}, layer=f"layers.linear{layer}")
    return records.frame()


def theory_table(seeds: int = 5, **fractions: float) -> pd.DataFrame:
    """A theory study: every share is 1 (a statement that always holds) unless given as statement__quantity=share."""
    names = {
        "random": {
            "theorem_4_1": ["holds_printed", "holds_corrected", "v_at_most_g_if_gamma_at_most_sigma"],
            "theorem_4_2": ["holds_corrected", "part_b_holds_if_rayleigh", "part_b_holds_if_all_conditions"],
            "theorem_4_4": ["holds_printed", "holds_printed_as_norm", "holds_corrected"],
            "theorem_c_1": ["counterexample_exists", "holds_corrected"],
            "observation_4_3": ["holds_printed", "holds_corrected"],
            "observation_4_3_bias": ["holds_printed"],
            "lemma_4_5": ["holds_printed", "holds_corrected", "holds_printed_without_condition"],
        },
        "checkpoint": {
            "theorem_4_1": ["holds_printed", "holds_corrected", "gamma_at_most_sigma", "v_at_most_g"],
            "theorem_4_2": [
                "overlap_positive",
                "curvature_v_nonnegative",
                "rayleigh_condition",
                "part_b_assumptions",
                "part_b_holds",
                "less_curved",
            ],
            "theorem_4_4": ["weight_gradient_bound", "weight_gradient_bound_with_bias"],
            "units": ["usable"],
        },
    }
    rows = []
    for source, statements in names.items():
        for statement, quantities in statements.items():
            for quantity in quantities:
                for seed in range(seeds):
                    share = fractions.get(f"{statement}__{quantity}", 1.0)
                    rows.append((source, statement, quantity, seed, 50, share, math.nan))
    for statement, quantity in (
        ("theorem_4_1", "relative_error"),
        ("theorem_4_2", "relative_error"),
        ("theorem_c_1", "largest_counterexample_ratio"),
    ):
        rows += [("random", statement, quantity, seed, 50, math.nan, 1e-13) for seed in range(seeds)]
    columns = ["source", "statement", "quantity", "seed", "count", "fraction", "value"]
    trained = {"network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "variant": ""}
    table = pd.DataFrame(rows, columns=columns).assign(**trained, step=0)
    random = table["source"] == "random"
    return table.assign(
        network=table["network"].where(~random, ""), learning_rate=table["learning_rate"].where(~random, np.nan)
    )


def study(
    training: Mapping[tuple[str, float], Kind] | None = None,
    deep_linear: Mapping[tuple[str, float], Kind] | None = None,
    *,
    seeds: int = 5,
    theory: pd.DataFrame | None = None,
    spec: AnalyzeSpec = SPEC,
) -> Cells:
    """All cells of synthetic studies, by (normalizer, learning rate)."""
    frames = [
        training_run(norm, rate, seed, kind) for (norm, rate), kind in (training or {}).items() for seed in range(seeds)
    ]
    frames += [
        deep_linear_run(norm, rate, seed, kind)
        for (norm, rate), kind in (deep_linear or {}).items()
        for seed in range(seeds)
    ]
    return Cells(combine(frames), pd.DataFrame() if theory is None else theory, spec)
