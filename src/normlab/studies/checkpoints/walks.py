"""Landscape walks at a checkpoint, in the paper's step sizes and in the variants that test for artefacts."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.probes import LandscapeProbe, directional_curvature, landscape, top_eigenvalues
from normlab.probes.directions import gaussian, scaled_to, start_walk
from normlab.probes.entry import objective_at
from normlab.probes.landscape import walk_from
from normlab.probes.objective import Objective
from normlab.probes.vectors import l2_norm
from normlab.runs.training import cross_entropy, l2_penalty
from normlab.seeding import generator
from normlab.specs.probe import ProbeSpec
from normlab.specs.training import RunSpec
from normlab.tables.rows import Rows

SUMMARIES = (
    "loss",
    "grad_norm",
    "loss_low",
    "loss_high",
    "loss_range",
    "loss_low_steps",
    "loss_high_steps",
    "loss_range_steps",
    "gradient_distance_low",
    "gradient_distance_high",
    "effective_beta",
)
Batch = tuple[Tensor, Tensor]
EIGENVALUE_PRODUCTS = 60  # Hessian-vector products at most; the residual is recorded beside the value


@dataclass(frozen=True)
class PenalizedCrossEntropy:
    """f(w; B) + ½·λ·‖w‖²; with λ = weight decay, the loss whose gradient SGD with weight decay follows."""

    penalty: float

    def __call__(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The penalized loss, a scalar."""
        return cross_entropy(model, batch) + l2_penalty(model, self.penalty)


def record_walks(
    rows: Rows, model: nn.Module, batch: Batch, run: RunSpec, spec: ProbeSpec, step: int, *, controls: bool = True
) -> None:
    """Walk from the weights of `step` along −g and its variants (paper §3.1; Figures 4, 11, 12).

    Probes recorded: `landscape` (step sizes are multiples of the learning rate), and with `controls`:
    `landscape_penalized` (the same with the L2 penalty in the loss, of `train.weight_decay`, or of `probe.penalty`
    where training has none), `landscape_random` (Gaussian direction of length ‖g‖), `landscape_equal_distance`
    (‖w_k − w‖ fixed, the column `step_size` holds that distance), `landscape_relative` (along `relative_direction`, the
    column `step_size` holds ‖Δw‖/‖w‖ of every weight matrix and kernel), `landscape_random_relative` (the same along a
    Gaussian direction).
    """
    if not controls:
        record_gradient_walk(rows, model, batch, run, spec, step)
        return
    found = _walks(model, batch, run, spec, step)
    if penalty := run.train.weight_decay or spec.penalty:
        sizes = _sizes(run, spec)
        penalized = landscape(model, PenalizedCrossEntropy(penalty), batch, sizes)
        found.insert(1, ("landscape_penalized", penalized, sizes, len(spec.step_sizes)))
    for probe, walk, labels, summarized in found:
        record_walk(rows, probe, walk, step, labels, summarized)


Found = tuple[str, LandscapeProbe, Sequence[float], int]
"""The name of a walk, the walk, its labels, and how many of these its summaries are over."""


def _walks(model: nn.Module, batch: Batch, run: RunSpec, spec: ProbeSpec, step: int) -> list[Found]:
    """The walks of the loss itself, which share the gradient at the base point: it is computed once."""
    sizes, shares, device = _sizes(run, spec), spec.relative_steps, batch[0].device
    with objective_at(model, cross_entropy, batch) as objective:
        base = start_walk(objective, "gradient", None, None, True, None)
        finite = base.gradient is not None and 0 < base.grad_norm < math.inf

        def walk(steps: Sequence[float], direction: list[Tensor], length: float, kind: str) -> LandscapeProbe:
            start = dataclasses.replace(base, direction=direction, length=length)
            return walk_from(objective, start, list(steps), "train", kind)

        def relative(vector: list[Tensor]) -> LandscapeProbe:
            direction = relative_direction(objective, vector)
            return walk(shares, direction, l2_norm(direction), "given")

        along = base.direction, base.length, "gradient"
        found: list[Found] = [("landscape", walk(sizes, *along), sizes, len(spec.step_sizes))]
        if spec.random_directions:
            draws = generator(run.seed, "probe", step, device=device)
            direction = scaled_to(gaussian(objective, draws), base.grad_norm)
            random = walk(sizes, direction, base.grad_norm, "random")
            found.append(("landscape_random", random, sizes, len(spec.step_sizes)))
        if spec.distances and base.grad_norm > 0:
            equal = walk([distance / base.grad_norm for distance in spec.distances], *along)
            found.append(("landscape_equal_distance", equal, spec.distances, len(spec.distances)))
        if shares and finite:
            found.append(("landscape_relative", relative(base.direction), shares, len(shares)))
        if shares and finite and spec.random_directions:
            draws = generator(run.seed, "relative_probe", step, device=device)
            away = relative(gaussian(objective, draws))
            found.append(("landscape_random_relative", away, shares, len(shares)))
        return found


def record_gradient_walk(
    rows: Rows, model: nn.Module, batch: Batch, run: RunSpec, spec: ProbeSpec, step: int, number: int = 0
) -> LandscapeProbe:
    """Rows `landscape` of the walk along −g on one batch, the `number`-th one of the step."""
    sizes = _sizes(run, spec)
    walk = landscape(model, cross_entropy, batch, sizes)
    record_walk(rows, "landscape", walk, step, sizes, len(spec.step_sizes), number)
    return walk


def relative_direction(objective: Objective, vector: Sequence[Tensor]) -> list[Tensor]:
    """A vector v over the parameters with each matrix or kernel rescaled to the length of the weights it belongs to.

        d_l = v_l · ‖w_l‖ / ‖v_l‖        so that a step of size s along it has ‖Δw_l‖/‖w_l‖ = s in every layer l

    A normalized layer computes the same function at α·w_l, where its gradient is g_l/α: steps of a fixed distance then
    compare different things, relative ones do not. Vectors (biases, and the normalizers' scale and shift) stay, as in
    the filter normalization of Li et al. (2018), and so does a layer where v is 0.

    Args:
        objective: whose weights are meant, those at its base point.
        vector: the gradient there, or any other direction.
    """
    pairs = zip(vector, objective.weights, strict=True)
    return [v * _ratio(l2_norm([w]), l2_norm([v])) if w.ndim >= 2 else torch.zeros_like(v) for v, w in pairs]


def _ratio(length: float, of: float) -> float:
    return length / of if of > 0 else 0.0


def _sizes(run: RunSpec, spec: ProbeSpec) -> list[float]:
    return [run.learning_rate * size for size in (*spec.step_sizes, *spec.extra_step_sizes)]


def record_walk(
    rows: Rows,
    probe: str,
    walk: LandscapeProbe,
    step: int,
    labels: Sequence[float],
    summarized: int,
    number: int = 0,
) -> None:
    """Rows of one walk: summaries over the first `summarized` step sizes, then every step size by itself.

    Args:
        rows: where the rows go.
        probe: the name of the walk.
        walk: the result.
        step: the probed step.
        labels: the value of the column `step_size` for every entry of the walk.
        summarized: how many of the step sizes, from the first, the summaries are over.
        number: the value of the column `batch`.
    """
    summary = first_step_sizes(walk, summarized)
    rows.add(probe, step, {name: getattr(summary, name) for name in SUMMARIES}, batch=number)
    curves = {
        "loss": walk.losses,
        "gradient_distance": walk.gradient_distances,
        "gradient_cosine": walk.gradient_cosines,
        "beta": walk.betas,
    }
    for k, label in enumerate(labels):
        values = {name: float(curve[k]) for name, curve in curves.items() if curve is not None}
        rows.add(probe, step, values, step_size=label, batch=number)


def first_step_sizes(walk: LandscapeProbe, count: int) -> LandscapeProbe:
    """The same walk, of its first `count` step sizes alone."""
    arrays = ("step_sizes", "losses", "gradient_distances", "gradient_cosines", "betas")
    return dataclasses.replace(walk, **{name: getattr(walk, name)[:count] for name in arrays})


def record_curvature(
    rows: Rows, model: nn.Module, batches: Sequence[Batch], run: RunSpec, spec: ProbeSpec, step: int
) -> None:
    """Rows `curvature` along the gradient, on each of the step's batches b, and their mean where there are several.

        rayleigh = g_bᵀH_b g_b / ‖g_b‖²      stretch = ‖H_b g_b‖ / ‖g_b‖
        batch_sharpness = mean_b rayleigh_b      batch_sharpness_times_rate = η · batch_sharpness

    SGD is said to bring the last one to 2, the edge of stability of single batches (Andreyev & Beneventano 2024).
    """
    if not spec.curvature:
        return
    found = [directional_curvature(model, cross_entropy, batch) for batch in batches]
    for number, curvature in enumerate(found):
        rows.add("curvature", step, {"rayleigh": curvature.rayleigh, "stretch": curvature.stretch}, batch=number)
    if len(found) > 1:
        sharpness = sum(curvature.rayleigh for curvature in found) / len(found)
        values = {"batch_sharpness": sharpness, "batch_sharpness_times_rate": run.learning_rate * sharpness}
        rows.add("curvature", step, values)


def record_eigenvalue(rows: Rows, model: nn.Module, batch: Batch, run: RunSpec, spec: ProbeSpec, step: int) -> None:
    """Rows `curvature` of the largest Hessian eigenvalue and its residual, at the steps asked for."""
    if step in spec.eigenvalue_at and all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        draws = generator(run.seed, "eigenvalue", step, device=batch[0].device)
        top = top_eigenvalues(model, cross_entropy, batch, generator=draws, max_products=EIGENVALUE_PRODUCTS, tol=1e-2)
        residual = float(top.residuals[0])
        rows.add("curvature", step, {"top_eigenvalue": float(top.values[0]), "top_eigenvalue_residual": residual})
