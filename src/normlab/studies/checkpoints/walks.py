"""Landscape walks at a checkpoint, in the paper's step sizes and in the variants that test for artefacts."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.probes import LandscapeProbe, directional_curvature, landscape, top_eigenvalues
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
    "gradient_distance_low",
    "gradient_distance_high",
    "effective_beta",
)
EIGENVALUE_PRODUCTS = 60  # Hessian-vector products at most; the residual is recorded beside the value


@dataclass(frozen=True)
class PenalizedCrossEntropy:
    """f(w; B) + ½·λ·‖w‖²; with λ = weight decay, the loss whose gradient SGD with weight decay follows."""

    penalty: float

    def __call__(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The penalized loss, a scalar."""
        return cross_entropy(model, batch) + l2_penalty(model, self.penalty)


def record_walks(
    rows: Rows, model: nn.Module, batch: tuple[Tensor, Tensor], run: RunSpec, spec: ProbeSpec, step: int
) -> None:
    """Walk from the weights of `step` along −g and its variants (paper §3.1; Figures 4, 11, 12).

    Probes recorded: `landscape` (step sizes are multiples of the learning rate), `landscape_penalized` (the same with
    the L2 penalty in the loss, of `train.weight_decay`, or of `probe.penalty` where training has none),
    `landscape_random` (Gaussian direction of length ‖g‖), `landscape_equal_distance` (‖w_k − w‖ fixed, the column
    `step_size` holds that distance).
    """
    sizes = [run.learning_rate * size for size in (*spec.step_sizes, *spec.extra_step_sizes)]
    summarized = len(spec.step_sizes)
    walk = landscape(model, cross_entropy, batch, sizes)
    record_walk(rows, "landscape", walk, step, sizes, summarized)
    if penalty := run.train.weight_decay or spec.penalty:
        penalized = landscape(model, PenalizedCrossEntropy(penalty), batch, sizes)
        record_walk(rows, "landscape_penalized", penalized, step, sizes, summarized)
    if spec.random_directions:
        draws = generator(run.seed, "probe", step, device=batch[0].device)
        random = landscape(model, cross_entropy, batch, sizes, direction="random", generator=draws)
        record_walk(rows, "landscape_random", random, step, sizes, summarized)
    if spec.distances and walk.grad_norm > 0:
        equal = landscape(model, cross_entropy, batch, [distance / walk.grad_norm for distance in spec.distances])
        record_walk(rows, "landscape_equal_distance", equal, step, spec.distances, len(spec.distances))


def record_walk(
    rows: Rows, probe: str, walk: LandscapeProbe, step: int, labels: Sequence[float], summarized: int
) -> None:
    """Rows of one walk: summaries over the first `summarized` step sizes, then every step size by itself.

    Args:
        rows: where the rows go.
        probe: the name of the walk.
        walk: the result.
        step: the probed step.
        labels: the value of the column `step_size` for every entry of the walk.
        summarized: how many of the step sizes, from the first, the summaries are over.
    """
    summary = first_step_sizes(walk, summarized)
    rows.add(probe, step, {name: getattr(summary, name) for name in SUMMARIES})
    curves = {
        "loss": walk.losses,
        "gradient_distance": walk.gradient_distances,
        "gradient_cosine": walk.gradient_cosines,
        "beta": walk.betas,
    }
    for k, label in enumerate(labels):
        values = {name: float(curve[k]) for name, curve in curves.items() if curve is not None}
        rows.add(probe, step, values, step_size=label)


def first_step_sizes(walk: LandscapeProbe, count: int) -> LandscapeProbe:
    """The same walk, of its first `count` step sizes alone."""
    arrays = ("step_sizes", "losses", "gradient_distances", "gradient_cosines", "betas")
    return dataclasses.replace(walk, **{name: getattr(walk, name)[:count] for name in arrays})


def record_curvature(
    rows: Rows, model: nn.Module, batch: tuple[Tensor, Tensor], run: RunSpec, spec: ProbeSpec, step: int
) -> None:
    """Rows `curvature`: gᵀHg/gᵀg, ‖Hg‖/‖g‖ and, at the steps asked for, the largest Hessian eigenvalue."""
    if spec.curvature:
        curvature = directional_curvature(model, cross_entropy, batch)
        rows.add("curvature", step, {"rayleigh": curvature.rayleigh, "stretch": curvature.stretch})
    if step in spec.eigenvalue_at and all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        draws = generator(run.seed, "eigenvalue", step, device=batch[0].device)
        top = top_eigenvalues(model, cross_entropy, batch, generator=draws, max_products=EIGENVALUE_PRODUCTS, tol=1e-2)
        residual = float(top.residuals[0])
        rows.add("curvature", step, {"top_eigenvalue": float(top.values[0]), "top_eigenvalue_residual": residual})
