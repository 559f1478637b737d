"""Synthetic studies in the tidy schema: every number of a run is chosen, so that a claim is true, false or undecidable.

A `Kind` says what a network with some normalizer is like; a field is one number, or one a seed. The curves are the
simplest that have these numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cells
from normlab.specs.analyze import AnalyzeSpec
from normlab.tables.frames import combine
from normlab.tables.rows import Rows

STEPS = 100
PROBED = tuple(range(0, STEPS + 1, 10))
SIZES = (0.25, 0.5, 1.0, 2.0, 4.0)  # in learning rates; the first is outside the summaries
DLN_SIZES = (0.01, 0.1, 1.0, 10.0, 31.6)
LAYERS = 3
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
        reach: the batch at which its training accuracy first is 0.9 (it rises linearly to `final` and stays).
        final: the accuracy at which it stays.
        test: final test accuracy.
        rough: loss range of the walk; `near` at step sizes of at most the learning rate.
        distance: largest gradient change; `beta` the effective β before the late phase; `near_beta` up to the rate.
        plateau: late β_k is 1/η_k instead of `beta`.
        start: factor on shift, distance and β at step 0.
        move: movement of activations in every layer.
        shift: ℓ2 of the covariate shift; `cosine` its cosine.
        loss: final loss of a deep linear network.
        diverged_at: the step at which it diverged, or none.
    """

    reach: Number = 40.0
    final: Number = 1.0
    test: Number = 0.8
    rough: Number = 1.0
    near: Number = 0.5
    distance: Number = 1.0
    beta: Number = 10.0
    near_beta: Number = 5.0
    plateau: bool = False
    start: Number = 1.0
    move: Number = 1.0
    shift: Number = 1.0
    cosine: Number = 0.5
    loss: Number = 100.0
    diverged_at: int | None = None

    def at(self, field: str, seed: int) -> float:
        """The field's number for a seed."""
        value = getattr(self, field)
        return float(value[seed]) if isinstance(value, list | tuple) else float(value)


def training_run(norm_layer: str, rate: float, seed: int, kind: Kind) -> pd.DataFrame:
    """History, test and probes of one run of a VGG."""
    records = Rows({"study": "vgg", "network": "vgg11", "norm_layer": norm_layer, "learning_rate": rate, "seed": seed})
    end = STEPS if kind.diverged_at is None else kind.diverged_at + 1
    reach, final = kind.at("reach", seed), kind.at("final", seed)
    for step in range(end):
        accuracy = min(0.9 * (step + 1) / reach, final) if step + 1 < reach else final
        broken = step == kind.diverged_at
        loss = math.nan if broken else 3.0 * math.exp(-2.0 * (step + 1) / STEPS)
        records.add("history", step, {"loss": loss, "train_accuracy": accuracy, "grad_norm": 1.0})
    records.add("test", end, {"test_loss": 1.0, "test_accuracy": kind.at("test", seed)})
    summary = {"steps": STEPS, "diverged_at": math.nan if kind.diverged_at is None else kind.diverged_at}
    records.add("summary", end, summary)
    for step in (step for step in PROBED if step <= end):
        add_walks(records, step, rate, seed, kind)
        add_layers(records, step, seed, kind)
    return records.frame()


def add_walks(records: Rows, step: int, rate: float, seed: int, kind: Kind, sizes: Sequence[float] = SIZES) -> None:
    """The walks of one step, with the same numbers along the gradient, random directions and equal distances."""
    start = kind.at("start", seed) if step == 0 else 1.0
    late = step > 0.7 * STEPS
    betas = [kind.at("near_beta" if size <= 1 else "beta", seed) * start for size in sizes]
    if kind.plateau and late:
        betas = [1 / (size * rate) for size in sizes]
    distance, base = kind.at("distance", seed) * start, 1.0
    summary = {
        "loss": base,
        "grad_norm": 1.0,
        "loss_range": kind.at("rough", seed),
        "gradient_distance_high": distance,
        "effective_beta": max(betas[1:]),
    }
    for probe in ("landscape", "landscape_random", "landscape_equal_distance", "landscape_penalized"):
        records.add(probe, step, summary)
        for size, beta in zip(sizes, betas, strict=True):
            loss = base + kind.at("near" if size <= 1 else "rough", seed)
            values = {"loss": loss, "gradient_distance": distance, "beta": beta}
            records.add(probe, step, values, step_size=size * rate)
    records.add("curvature", step, {"stretch": betas[0]})
    if step % 50 == 0:
        records.add("curvature", step, {"top_eigenvalue": 2 / rate})


def add_layers(records: Rows, step: int, seed: int, kind: Kind) -> None:
    """Shift, gradients and activations of one step; nothing precedes the first layer."""
    start = kind.at("start", seed) if step == 0 else 1.0
    for layer in range(1, LAYERS + 1):
        shift = {"l2": kind.at("shift", seed) * start, "relative_l2": kind.at("shift", seed)}
        first = {"l2": 0.0, "relative_l2": 0.0, "cosine": 1.0}
        later = {**shift, "cosine": kind.at("cosine", seed)}
        records.add("shift", step, first if layer == 1 else later, layer=f"features.conv{layer}")
        records.add("gradients", step, {"layer_grad_norm": 2.0 ** (LAYERS - layer)}, layer=f"features.conv{layer}")
        names = ("mean_abs_change", "variance_abs_change", "wasserstein", "relative_mean_change")
        moves = dict.fromkeys(names, kind.at("move", seed) * layer) if step else {}
        one_step = ("mean_abs_change_1", "variance_abs_change_1", "relative_mean_change_1")
        moves |= dict.fromkeys(one_step, kind.at("move", seed))
        records.add("activations", step, moves, layer=f"features.norm{layer}")


def deep_linear_run(norm_layer: str, rate: float, seed: int, kind: Kind) -> pd.DataFrame:
    """History and probes of one seed of the deep linear network."""
    records = Rows({"study": "dln", "network": "dln", "norm_layer": norm_layer, "learning_rate": rate, "seed": seed})
    for step in (0, STEPS):
        records.add("history", step, {"loss": kind.at("loss", seed) if step else 1e4, "grad_norm": 1.0})
    gone = math.nan if kind.diverged_at is None else kind.diverged_at
    records.add("summary", STEPS, {"steps": STEPS, "diverged_at": gone})
    for step in PROBED:
        add_walks(records, step, rate, seed, kind, DLN_SIZES)
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
    table = pd.DataFrame(rows, columns=columns).assign(**trained)
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
