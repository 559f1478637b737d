r"""One cell of the deep linear study: full-batch gradient descent of all seeds with every measurement.

    w^{t+1} = w^t - lr grad L(w^t),   t = 0 .. steps-1,   float64

Recorded (the tidy schema of `normlab.tables.rows`, study and network "dln"):

- `history`: loss and grad_norm at weights w^t for the first 100 t, every `loss_every`-th, and t = steps;
- `structure`: `place`, the number of every layer `linearK`, and `normK` where there is one;
- `summary`, at t = steps: `steps`, `diverged_at` (the first t with a loss that is not finite, else NaN), `parameters`,
  and `rank_floor_0` .. `rank_floor_F`, the losses of `normlab.studies.deep_linear.rank`;
- every `probe_every` steps and at t = steps: `landscape`, `shift`, `curvature` (rayleigh, stretch), `activations`
  (of the normalizers), `activations_fixed` (of the matrices before them);
- every `control_every` steps: `landscape_random`, `landscape_equal_distance`, `landscape_relative`, `gradients`
  (layer_grad_norm) and `weights` (weight_norm ||W||, effective_rate lr/||W||^2);
- every `sharpness_every` steps: `curvature` (top_eigenvalue, top_eigenvalue_residual).

A seed that diverges keeps inf and NaN from then on; the others share nothing with it but the batched call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from normlab import seeding
from normlab.runs.resume import ResumePoints
from normlab.specs.dln import DlnCell, DlnSpec
from normlab.studies.deep_linear.activations import DeepLinearTrack
from normlab.studies.deep_linear.curvature import directional_curvature, hessian, top_eigenvalue
from normlab.studies.deep_linear.landscape import random_directions, record_walk, relative_directions, walk
from normlab.studies.deep_linear.network import Network, build_network
from normlab.studies.deep_linear.problem import Problem, draw_problem, draw_weights
from normlab.studies.deep_linear.rank import rank_floors
from normlab.studies.deep_linear.rows import CellRows
from normlab.studies.deep_linear.shift import covariate_shift, layer_norms

FIRST_STEPS = 100  # every loss is kept up to here, where it falls fastest


@dataclass(frozen=True)
class State:
    """All seeds before update `step`: `params` (S, P), `loss` (S,), `gradient` (S, P)."""

    step: int
    params: Tensor
    loss: Tensor
    gradient: Tensor


class Descent:
    """V runs of gradient descent for each of S seeds: where they stand, and what they came through.

    Args:
        params: (S, V, P), initial weights.
        steps: number of updates.

    Attributes:
        step: updates made.
        params: (S, V, P), the weights after them.
        losses: (steps+1, S, V), up to and with `step` - 1.
        norms: the same of the gradients' norms.
    """

    def __init__(self, params: Tensor, steps: int) -> None:
        self.step, self.params = 0, params
        self.losses, self.norms = torch.empty(2, steps + 1, *params.shape[:2], dtype=torch.float64)

    def update(self, learning_rates: Tensor, loss: Tensor, gradient: Tensor) -> None:
        """Keep loss (S, V) and the norm of the gradient (S, V, P) of this step, and move the weights."""
        self.losses[self.step] = loss
        self.norms[self.step] = torch.linalg.vector_norm(gradient, dim=-1)
        self.params = self.params - learning_rates[:, None] * gradient
        self.step += 1

    def state_dict(self) -> dict[str, Any]:
        """Everything up to the last update."""
        curves = {"losses": self.losses[: self.step].clone(), "norms": self.norms[: self.step].clone()}
        return {"step": self.step, "params": self.params, **curves}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last update of `state`."""
        self.step, self.params = state["step"], state["params"]
        self.losses[: self.step], self.norms[: self.step] = state["losses"], state["norms"]


def descend(
    network: Network,
    problem: Problem,
    descent: Descent,
    learning_rates: Tensor,
    on_step: Callable[[int, Tensor, Tensor, Tensor], None] = lambda *state: None,
    resume: ResumePoints | None = None,
) -> None:
    """Full-batch gradient descent of V runs for each of S seeds, from where `descent` stands.

    Args:
        network: the network.
        problem: the S problems.
        descent: where it starts; afterwards it holds all losses.
        learning_rates: (V,).
        on_step: called with t, params (S, V, P), loss (S, V), gradient (S, V, P) for t = 0 .. steps, `steps` included.
        resume: leaves the state of its parts now and then.
    """
    for step in range(descent.step, len(descent.losses)):
        with torch.no_grad():
            loss, gradient = network.evaluate(problem, descent.params)
        on_step(step, descent.params, loss, gradient)
        descent.update(learning_rates, loss, gradient)
        if resume is not None:
            resume.save_if_due(descent.step)


def run_cell(
    spec: DlnSpec,
    cell: DlnCell,
    on_step: Callable[[int], None] = lambda step: None,
    resume: ResumePoints | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train and measure one cell.

    Args:
        spec: section `dln`.
        cell: the normalizer, the learning rate of gradient descent on the loss summed over samples, and how the
            settings differ from `spec`.
        on_step: called after each step.
        resume: where the cell goes on if it was stopped, and leaves its state now and then.

    Returns:
        The measurements and the histograms.
    """
    problem = draw_problem(spec.seeds, spec.features, spec.samples)
    network = build_network(spec.varied(cell.variant), cell.norm_layer)
    rows = CellRows(cell, spec.seeds)
    probes = Probes(spec, network, problem, cell.learning_rate, rows)
    descent = Descent(network.pack(draw_weights(spec.seeds, spec.depth, spec.features))[:, None], spec.steps)
    if resume is not None:
        resume.add(descent=descent, rows=rows, normalized=probes.normalized, linear=probes.linear)
        resume.restore()

    def visit(step: int, params: Tensor, loss: Tensor, gradient: Tensor) -> None:
        if step % spec.probe_every == 0:
            probes.measure(State(step, params[:, 0], loss[:, 0], gradient[:, 0]))
        on_step(step)

    descend(network, problem, descent, torch.tensor([cell.learning_rate], dtype=torch.float64), visit, resume)
    losses, norms = descent.losses[:, :, 0], descent.norms[:, :, 0]
    for step in range(spec.steps + 1):
        if step < FIRST_STEPS or step % spec.loss_every == 0 or step == spec.steps:
            rows.add("history", step, {"loss": losses[step], "grad_norm": norms[step]})
    floors = rank_floors(network, problem)
    summary = {
        "steps": torch.full_like(losses[0], spec.steps),
        "diverged_at": diverged_at(losses),
        "parameters": torch.full_like(losses[0], network.n_params),
        **{f"rank_floor_{rank}": floors[:, rank] for rank in range(floors.shape[1])},
    }
    rows.add("summary", spec.steps, summary)
    for tap, count in (("linear", network.depth), ("norm", network.n_normalized)):
        for place in range(1, count + 1):
            rows.add("structure", 0, {"place": torch.full_like(losses[0], place)}, layer=f"layers.{tap}{place}")
    return rows.frame(), probes.normalized.histograms()


def diverged_at(losses: Tensor) -> Tensor:
    """The first step of (steps+1, S) losses that is not finite, NaN where all are: (S,)."""
    broken = ~losses.isfinite()
    return torch.where(broken.any(0), broken.int().argmax(0).to(losses.dtype), torch.nan)


class Probes:
    """The measurements of one cell.

    Args:
        spec: section `dln`.
        network: the network.
        problem: the S problems.
        learning_rate: the cell's.
        rows: where the rows go.
    """

    def __init__(self, spec: DlnSpec, network: Network, problem: Problem, learning_rate: float, rows: CellRows) -> None:
        self.spec, self.network, self.problem = spec, network, problem
        self.learning_rate, self.rows = learning_rate, rows
        followed = (problem, spec.activation_layers, spec.features)
        self.normalized = DeepLinearTrack(*followed)
        self.linear = DeepLinearTrack(*followed, probe="activations_fixed", tap="linear")
        sizes = (*spec.step_sizes, *spec.extra_step_sizes)
        self.step_sizes = learning_rate * torch.tensor(sizes, dtype=torch.float64)

    def measure(self, state: State) -> None:
        """All measurements that are due at the step; weights and streams are left as they are."""
        step, spec = state.step, self.spec
        self._walk("landscape", state, state.gradient)
        shift = covariate_shift(
            self.network, self.problem, state.params, state.gradient, self.learning_rate, spec.shift_layers
        )
        for index, layer in enumerate(spec.shift_layers):
            self.rows.add("shift", step, {q: v[:, index] for q, v in shift.items()}, layer=f"layers.linear{layer}")
        self._activations(state)
        self._curvature(state)
        if step % spec.control_every == 0:
            self._walk("landscape_random", state, random_directions(self.problem.seeds, step, state.gradient))
            self._walk_equal_distances(state)
            self._walk_relative(state)
            self._layer_norms(state)

    def _walk(self, probe: str, state: State, direction: Tensor) -> None:
        sizes = self.step_sizes.expand(len(state.params), -1)
        found = walk(self.network, self.problem, state.params, state.loss, state.gradient, direction, sizes)
        record_walk(self.rows, probe, state.step, found, self.step_sizes, len(self.spec.step_sizes))

    def _walk_equal_distances(self, state: State) -> None:
        distances = torch.tensor(self.spec.distances, dtype=torch.float64)
        sizes = distances / torch.linalg.vector_norm(state.gradient, dim=1, keepdim=True)
        found = walk(self.network, self.problem, state.params, state.loss, state.gradient, state.gradient, sizes)
        record_walk(self.rows, "landscape_equal_distance", state.step, found, distances, len(distances))

    def _walk_relative(self, state: State) -> None:
        if self.spec.relative_steps:
            shares = torch.tensor(self.spec.relative_steps, dtype=torch.float64)
            direction = relative_directions(self.network, state.params, state.gradient)
            sizes = shares.expand(len(state.params), -1)
            found = walk(self.network, self.problem, state.params, state.loss, state.gradient, direction, sizes)
            record_walk(self.rows, "landscape_relative", state.step, found, shares, len(shares))

    def _layer_norms(self, state: State) -> None:
        gradients, weights = (layer_norms(self.network, vector) for vector in (state.gradient, state.params))
        rates = self.learning_rate / weights.square()
        for index in range(self.spec.depth):
            layer = f"layers.linear{index + 1}"
            self.rows.add("gradients", state.step, {"layer_grad_norm": gradients[:, index]}, layer=layer)
            values = {"weight_norm": weights[:, index], "effective_rate": rates[:, index]}
            self.rows.add("weights", state.step, values, layer=layer)

    def _activations(self, state: State) -> None:
        after = state.params - self.learning_rate * state.gradient
        with torch.no_grad():
            maps, maps_after = (self.network.layer_maps(self.problem, params) for params in (state.params, after))
        self.normalized.record(self.rows, state.step, maps.norm, maps_after.norm)
        self.linear.record(self.rows, state.step, maps.linear, maps_after.linear)
        if state.step % self.spec.histogram_every == 0:
            self.normalized.record_histograms(self.rows, state.step, maps.norm, self.spec.histogram_seeds)

    def _curvature(self, state: State) -> None:
        product = hessian(self.network, self.problem, state.params)
        values = directional_curvature(product, state.gradient)
        if state.step % self.spec.sharpness_every == 0:
            draws = [
                torch.randn(self.network.n_params, dtype=torch.float64, generator=seeding.generator(seed, "eigenvalue"))
                for seed in self.problem.seeds
            ]
            top = top_eigenvalue(product, torch.stack(draws), self.spec.eigenvalue_products)
            values |= {"top_eigenvalue": top.values, "top_eigenvalue_residual": top.residuals}
        self.rows.add("curvature", state.step, values)
