r"""Many seeds of a deep linear cell, and of each no more than says where it ended and what it came through.

The same networks, problems, weights and updates as in `normlab.studies.deep_linear.study`, in chunks of seeds. For
none, batch and l2 the loss depends on the first two moments of the data alone and no sample is touched; l1 and linf
look at the samples (`normlab.studies.deep_linear.network`, whose tests hold both to the sample-by-sample module: losses
to 1e-12, gradients to 1e-11 relative).

Recorded of each seed, study "dln_lottery":

- `history`: loss at up to 150 steps, evenly spaced in log(step), from 0 to the last;
- `summary`: `steps`, `diverged_at` (the first step with a loss that is not finite, else NaN);
- `lottery`, at the last step: of the effective β of the paper's step sizes (`landscape` of the full study, every
  `probe_every` steps) `start_beta`, `peak_beta` with its step `peak_beta_step`, and `late_beta`, the median over the
  last 30 % of the steps; `escape_step_r` for four ranks r, the first step with a loss below `rank_floor_r`, from which
  on the network's map has a rank above r: inf where it has not come there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from normlab.runs.resume import ResumePoints
from normlab.specs.dln import DlnCell, DlnSpec
from normlab.studies.deep_linear.landscape import walk
from normlab.studies.deep_linear.network import Network, build_network
from normlab.studies.deep_linear.problem import Problem, draw_problem, draw_weights
from normlab.studies.deep_linear.rank import rank_floors
from normlab.studies.deep_linear.rows import CellRows
from normlab.studies.deep_linear.study import Descent, descend, diverged_at

CHUNK = 50  # seeds at once: from here on a seed costs the same, and memory stays below 100 MB
LOSSES = 150
LATE = 0.7  # of the steps; the rest is "late"


def loss_steps(steps: int) -> list[int]:
    """Up to `LOSSES` steps from 0 to `steps`, evenly spaced in their logarithm from 1 on, each once.

    Example:
        >>> loss_steps(3)
        [0, 1, 2, 3]
    """
    found = np.array([0, steps])
    for count in range(
        LOSSES // 2, 3 * LOSSES
    ):  # the first steps coincide when they are rounded, so more are asked for
        grid = np.unique(np.r_[0, np.geomspace(1, steps, count).round().astype(int)])
        if len(grid) > LOSSES:
            break
        found = grid
    return found.tolist()


def escape_ranks(features: int) -> tuple[int, ...]:
    """The ranks whose floors are watched: 1, 2, half of the features, all but one."""
    return tuple(sorted({1, min(2, features), max(1, features // 2), max(1, features - 1)}))


class Lottery:
    """The seeds of one cell, chunk by chunk; the chunk in work can be put away and gone on with.

    Args:
        spec: section `dln`.
        cell: the cell.
        seeds: all seeds.
    """

    def __init__(self, spec: DlnSpec, cell: DlnCell, seeds: Sequence[int]) -> None:
        self.spec, self.cell, self.seeds = spec, cell, tuple(seeds)
        self.network = build_network(spec.varied(cell.variant), cell.norm_layer)
        self.finished: list[dict[str, Tensor]] = []
        self._descent: Descent | None = None
        self._betas: list[Tensor] = []

    def run(self, on_step: Callable[[int], None] = lambda step: None, resume: ResumePoints | None = None) -> None:
        """Play every chunk that is not finished; `on_step` is called with the number of updates made in all."""
        chunks = [self.seeds[start : start + CHUNK] for start in range(0, len(self.seeds), CHUNK)]
        for number, seeds in enumerate(chunks[len(self.finished) :], start=len(self.finished)):
            self._play(seeds, lambda step, before=number: on_step(before * self.spec.steps + step), resume)  # type: ignore[misc]

    def frame(self) -> pd.DataFrame:
        """All rows, seed by seed."""
        rows = CellRows(self.cell, self.seeds, study="dln_lottery")
        values = {name: torch.cat([chunk[name] for chunk in self.finished], -1) for name in self.finished[0]}
        for index, step in enumerate(loss_steps(self.spec.steps)):
            rows.add("history", step, {"loss": values["losses"][index]})
        every = torch.full((len(self.seeds),), self.spec.steps, dtype=torch.float64)
        rows.add("summary", self.spec.steps, {"steps": every, "diverged_at": values["diverged_at"]})
        scalars = {name: value for name, value in values.items() if name not in ("losses", "diverged_at")}
        rows.add("lottery", self.spec.steps, scalars)
        return rows.frame()

    def state_dict(self) -> dict[str, Any]:
        """The finished chunks, and where the present one stands."""
        descent = None if self._descent is None else self._descent.state_dict()
        return {"finished": self.finished, "descent": descent, "betas": self._betas}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last update of `state`."""
        self.finished, self._betas = state["finished"], state["betas"]
        if state["descent"] is not None:
            self._descent = Descent(state["descent"]["params"], self.spec.steps)
            self._descent.load_state_dict(state["descent"])

    def _play(self, seeds: Sequence[int], on_step: Callable[[int], None], resume: ResumePoints | None) -> None:
        spec, network = self.spec, self.network
        problem = draw_problem(seeds, spec.features, spec.samples)
        if self._descent is None:
            start = network.pack(draw_weights(seeds, spec.depth, spec.features))
            self._descent = Descent(start[:, None], spec.steps)
        rate = torch.tensor([self.cell.learning_rate], dtype=torch.float64)
        sizes = rate * torch.tensor(spec.step_sizes, dtype=torch.float64)

        def visit(step: int, params: Tensor, loss: Tensor, gradient: Tensor) -> None:
            if step % spec.probe_every == 0:
                self._betas.append(_beta(network, problem, params[:, 0], loss[:, 0], gradient[:, 0], sizes))
            on_step(step)

        descend(network, problem, self._descent, rate, visit, resume)
        floors = rank_floors(network, problem)
        losses, betas = self._descent.losses[:, :, 0], torch.stack(self._betas)
        self.finished.append(summarize(losses, betas, floors, spec.probe_every))
        self._descent, self._betas = None, []


def summarize(losses: Tensor, betas: Tensor, floors: Tensor, probe_every: int) -> dict[str, Tensor]:
    """What is kept of a chunk of S seeds: `losses` (L, S), and the other numbers of the module's list, (S,) each.

    Args:
        losses: (steps+1, S), every loss.
        betas: (P, S), the effective β every `probe_every` steps; NaN where it has no value, inf where the walk left
            the floating range.
        floors: (S, F+1), from `rank_floors`.
        probe_every: steps between two rows of `betas`.
    """
    steps = len(losses) - 1
    known = betas.nan_to_num(nan=-torch.inf, posinf=torch.inf)
    peak, place = known.max(0)
    late = betas[torch.arange(len(betas)) * probe_every > LATE * steps]
    found = {
        "losses": losses[loss_steps(steps)].clone(),
        "diverged_at": diverged_at(losses),
        "start_beta": betas[0],
        "peak_beta": torch.where(peak > -torch.inf, peak, torch.nan),
        "peak_beta_step": (place * probe_every).to(losses.dtype),
        "late_beta": late.nanmedian(0).values if len(late) else torch.full_like(peak, torch.nan),
    }
    for rank in escape_ranks(floors.shape[1] - 1):
        below = losses < floors[:, rank]
        found[f"escape_step_{rank}"] = torch.where(below.any(0), below.int().argmax(0).to(losses.dtype), torch.inf)
    return found


@torch.no_grad()
def _beta(network: Network, problem: Problem, params: Tensor, loss: Tensor, gradient: Tensor, sizes: Tensor) -> Tensor:
    """The effective β (S,); inf where a walk from a finite gradient overflows, NaN where that is 0 or not finite."""
    found = walk(network, problem, params, loss, gradient, gradient, sizes.expand(len(params), -1))
    beta = found.summary(len(sizes))["effective_beta"]
    usable = found.grad_norm.isfinite() & (found.grad_norm > 0)
    return torch.where(usable, torch.where(beta.isnan(), torch.inf, beta), torch.nan)
