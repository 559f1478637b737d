"""The statements' assumptions on a trained network: how often they are true at checkpoints of a run with BatchNorm."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from normlab.data.images import Batches, ImageSplit
from normlab.nn.structure import read_structure
from normlab.runs.finished import load_trained
from normlab.seeding import generator
from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.training import RunSpec, check_steps
from normlab.studies.statements.table import Tally, build_table
from normlab.studies.statements.trained_units import TrainedUnit, evenly_spaced, measure_units


def measure_trained_cases(
    spec: AssumptionsSpec,
    run: RunSpec,
    folder: Path,
    split: ImageSplit,
    *,
    on_step: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """Check the statements on units of a trained network, each on the batch that training saw at that step.

    For every step of `spec.steps` and chosen layer there is a row a quantity, over the chosen units. All in
    float64; m is batch x pixels (all of them); sigma without eps. Statements and quantities:

    - units: `usable`, the share of units with finite values, sigma > 0 and gamma != 0. The rest is over these. A run
      that diverged before the step has one such row, with fraction 0 and the layer "". A network whose normalizers do
      not stand right behind a convolution or linear layer has the row `producer_known`, with fraction 0, instead.
    - theorem_4_1: `holds_printed`, `holds_corrected`, `gamma_at_most_sigma`, `v_at_most_g`; medians `gamma_over_sigma`
      and `kept_share` = ||v||^2 / (gamma^2/sigma^2 ||g||^2), what the theorem leaves of the trivial bound.
    - theorem_4_2: `overlap_positive` (<g, yhat> > 0), `curvature_v_nonnegative`, `curvature_g_nonnegative`,
      `rayleigh_condition`, `part_b_assumptions`, `part_b_holds`, `less_curved` (v' Hhat v / ||v||^2 <= g'Hg / ||g||^2:
      along its own gradient the normalized loss is less curved than the plain one).
    - theorem_4_4: `weight_gradient_bound` (||X'v|| <= (gamma/sigma) ||X'g|| for the real inputs X),
      `weight_gradient_bound_with_bias` (X with a column of ones), median `weight_gradient_ratio` of the two sides.

    Args:
        spec: section `assumptions`.
        run: a run with BatchNorm.
        folder: its output folder.
        split: the train split, on the device to measure on.
        on_step: called after each step.

    Raises:
        InputError: a checkpoint is missing, or a step is not on the schedule.
    """
    rows: list[dict[str, Any]] = []
    check_steps(spec.steps, run, "assumptions.steps")
    batches = Batches(split, run.train.batch_size, run.seed, run.train.augment)
    for step in spec.steps:
        model = load_trained(run, folder, step, len(split.classes), split.images.device)
        rows += _rows_without(run, step, "usable") if model is None else _measure_step(spec, run, step, model, batches)
        on_step()
    return build_table(rows)


def _measure_step(
    spec: AssumptionsSpec, run: RunSpec, step: int, model: nn.Module, batches: Batches
) -> list[dict[str, Any]]:
    inputs, targets = batches.at(step)
    structure = read_structure(model, inputs[:2].double())
    producers = {norm: weight for norm, weight in structure.producers.items() if _is_affine(model, weight)}
    chosen = {name: _choose(run, name, model, spec.units) for name in evenly_spaced(list(producers), spec.layers)}
    tallies = {name: Tally() for name in chosen}
    samples = {}
    for unit in measure_units(model, (inputs.double(), targets), chosen, producers):
        _add(tallies[unit.layer], unit)
        samples[unit.layer] = len(unit.y)
    measured = [
        {**_keys(run, step), "layer": name, "samples": samples[name], **row}
        for name, tally in tallies.items()
        for row in tally.rows()
    ]
    return measured if chosen else _rows_without(run, step, "producer_known")


def _is_affine(model: nn.Module, layer: str) -> bool:
    """Whether row j of the layer's weight makes channel j of its output: what X'u is computed from."""
    return isinstance(model.get_submodule(layer), nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)


def _choose(run: RunSpec, layer: str, model: nn.Module, count: int) -> list[int]:
    """The same units at every step of a run: the lowest `count` of a permutation drawn for the layer."""
    width = len(model.get_parameter(f"{layer}.weight"))
    order = torch.randperm(width, generator=generator(run.seed, "theory", layer))
    return sorted(order[:count].tolist())


def _add(tally: Tally, unit: TrainedUnit) -> None:
    tally.share("units", {"usable": unit.result is not None})
    given, result = unit.result is not None, unit.result
    if result is None:
        return
    g_square, v_square = torch.dot(unit.g, unit.g).item(), result.lhs
    ratio = abs(unit.gamma) / result.sigma
    tally.share(
        "theorem_4_1",
        {
            "holds_printed": result.holds_printed,
            "holds_corrected": result.holds_corrected,
            "gamma_at_most_sigma": result.assumptions["gamma_at_most_sigma"],
            "v_at_most_g": v_square <= g_square,
        },
    )
    tally.number("theorem_4_1", "gamma_over_sigma", ratio)
    tally.number("theorem_4_1", "kept_share", v_square / result.gradient_bound**2 if g_square else math.nan)
    tally.share("theorem_4_2", _curvature(unit, result.overlap, v_square, g_square, ratio), given=given)
    bound = ratio * unit.weight_gradient_g
    with_bias = ratio * math.hypot(unit.weight_gradient_g, unit.bias_gradient_g)
    tally.share(
        "theorem_4_4",
        {
            "weight_gradient_bound": unit.weight_gradient_v <= bound,
            "weight_gradient_bound_with_bias": unit.weight_gradient_v <= with_bias,
        },
    )
    tally.number("theorem_4_4", "weight_gradient_ratio", unit.weight_gradient_v / bound if bound else math.nan)


def _curvature(unit: TrainedUnit, overlap: float, v_square: float, g_square: float, ratio: float) -> dict[str, bool]:
    # a positive semi-definite H leaves v'Hv of rounding size where Hv is orthogonal to v
    nonnegative = unit.curvature_v >= -1e-10 * unit.scale_v
    rayleigh = unit.curvature_v * g_square <= unit.curvature_g * v_square
    # v' Hhat v by Theorem 4.2(a), an equality
    normalized = ratio**2 * (unit.curvature_v - overlap * v_square / (len(unit.y) * unit.gamma))
    return {
        "overlap_positive": overlap > 0,
        "curvature_v_nonnegative": nonnegative,
        "curvature_g_nonnegative": unit.curvature_g >= 0,
        "rayleigh_condition": rayleigh,
        "part_b_assumptions": rayleigh and v_square <= g_square and unit.curvature_g >= 0,
        "part_b_holds": unit.curvature_v <= unit.curvature_g,
        "less_curved": normalized * g_square <= unit.curvature_g * v_square,
    }


def _rows_without(run: RunSpec, step: int, quantity: str) -> list[dict[str, Any]]:
    row = {"statement": "units", "quantity": quantity, "count": 1, "fraction": 0.0, "value": math.nan}
    return [{**_keys(run, step), "layer": "", "samples": 0, **row}]


def _keys(run: RunSpec, step: int) -> dict[str, Any]:
    return {"source": "checkpoint", **{key: value for key, value in run.keys.items() if key != "study"}, "step": step}
