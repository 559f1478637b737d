r"""Walks through the loss landscape, batched over seeds and step sizes.

    w_k = w - eta_k d,   d = g (the raw gradient) or a Gaussian direction scaled to ||g||
    loss(w_k),   distance_k = ||grad(w_k) - g||,   cosine_k = <grad(w_k), g> / (||grad(w_k)|| ||g||),
    beta_k = distance_k / ||w_k - w||

Place in the paper: Section 3.1, Figures 10, 11(b), 13. The same definitions as `normlab.probes.landscape`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normlab import seeding
from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import Problem
from normlab.studies.deep_linear.rows import CellRows


@dataclass(frozen=True)
class Walk:
    """K points for each of S seeds: base `loss` and `grad_norm` (S,), the rest (S, K)."""

    loss: Tensor
    grad_norm: Tensor
    losses: Tensor
    distances: Tensor
    cosines: Tensor
    betas: Tensor
    moved: Tensor  # ||w_k - w||

    def per_step_size(self) -> dict[str, Tensor]:
        """Every column of the walk, (S, K) each."""
        return {
            "loss": self.losses,
            "gradient_distance": self.distances,
            "gradient_cosine": self.cosines,
            "beta": self.betas,
        }

    def summary(self, first: int) -> dict[str, Tensor]:
        """The paper's bands over the first `first` points, (S,) each; the loss band with the base point, and without.

        A NaN or inf at any of these points shows in the edges it belongs to. Points that did not move have no beta and
        are left out of `effective_beta`.
        """
        low_steps, high_steps = self.losses[:, :first].amin(1), self.losses[:, :first].amax(1)
        low, high = torch.minimum(low_steps, self.loss), torch.maximum(high_steps, self.loss)
        distances = self.distances[:, :first]
        still = self.moved[:, :first] == 0
        highest = self.betas[:, :first].masked_fill(still, -torch.inf).amax(1)
        return {
            "loss": self.loss,
            "grad_norm": self.grad_norm,
            "loss_low": low,
            "loss_high": high,
            "loss_range": high - low,
            "loss_low_steps": low_steps,
            "loss_high_steps": high_steps,
            "loss_range_steps": high_steps - low_steps,
            "gradient_distance_low": distances.amin(1),
            "gradient_distance_high": distances.amax(1),
            "effective_beta": highest.masked_fill(still.all(1), torch.nan),
        }


@torch.no_grad()
def walk(
    network: Network,
    problem: Problem,
    params: Tensor,
    loss: Tensor,
    gradient: Tensor,
    direction: Tensor,
    step_sizes: Tensor,
) -> Walk:
    """Evaluate K points along a direction, for all seeds at once.

    Args:
        network: the network.
        problem: the S problems.
        params: (S, P), the base points w.
        loss: (S,) at w.
        gradient: (S, P) at w.
        direction: (S, P), d.
        step_sizes: (S, K), eta; any real numbers. Where w_k equals w, beta is NaN.
    """
    points = params[:, None] - step_sizes[..., None] * direction[:, None]
    losses, gradients = network.evaluate(problem, points)
    grad_norm = torch.linalg.vector_norm(gradient, dim=-1)
    distances = torch.linalg.vector_norm(gradients - gradient[:, None], dim=-1)
    overlap = torch.linalg.vecdot(gradients, gradient[:, None].expand_as(gradients))
    cosines = overlap / (torch.linalg.vector_norm(gradients, dim=-1) * grad_norm[:, None])
    moved = torch.linalg.vector_norm(points - params[:, None], dim=-1)
    betas = torch.where(moved > 0, distances / moved, torch.nan)
    return Walk(loss, grad_norm, losses, distances, cosines.clamp(-1, 1), betas, moved)


def random_directions(seeds: Sequence[int], step: int, gradient: Tensor) -> Tensor:
    """Gaussian directions (S, P) with the length of `gradient` (S, P); one stream a seed and step."""
    draws = [
        torch.randn(gradient.shape[1], dtype=gradient.dtype, generator=seeding.generator(seed, "probe", step))
        for seed in seeds
    ]
    direction = torch.stack(draws)
    lengths = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return direction * (lengths / torch.linalg.vector_norm(direction, dim=1, keepdim=True))


def relative_directions(network: Network, params: Tensor, gradient: Tensor) -> Tensor:
    """The gradients (S, P), each matrix's part rescaled to that matrix's length, and zero for gamma and beta.

    A step of size s along it has ||dW_l||/||W_l|| = s in every layer l, as `landscape_relative` of the probe stage. A
    matrix without gradient stays.
    """
    weights, slopes = network.unpack(params)[0], network.unpack(gradient)[0]
    lengths, slope_lengths = (torch.linalg.vector_norm(part, dim=(-2, -1), keepdim=True) for part in (weights, slopes))
    scale = torch.where(slope_lengths > 0, lengths / slope_lengths, 0)
    direction = torch.zeros_like(gradient)
    direction[:, : network.n_weights] = (slopes * scale).flatten(1)
    return direction


def record_walk(rows: CellRows, probe: str, step: int, walk: Walk, labels: Tensor, first: int) -> None:
    """Rows of one walk: the summary over its first `first` points, then every point under its label (K,)."""
    rows.add(probe, step, walk.summary(first))
    rows.add(probe, step, walk.per_step_size(), step_sizes=labels)
