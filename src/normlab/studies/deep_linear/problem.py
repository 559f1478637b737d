r"""The regression problem of the deep linear network, reduced to what its loss depends on.

    x_n ~ N(0, I),  n = 1..N        A_ij ~ N(0, 1)        minimize  L(w) = 1/2 sum_n ||f_w(x_n) - A x_n||^2

The loss is half the **sum** over samples: the paper's initial loss, 3.5e4 to 5.6e4, and its learning rate of 1e-6 fit
that scale (`tf.nn.l2_loss`), not the mean over samples.

Every layer before the last normalizer acts on the N samples as an affine map, so the data enter through

    x_n = R z_n + mean(x)     with   (1/N) sum_n z_n z_n^T = I,   sum_n z_n = 0     (R lower triangular)

that is x_n = B zt_n with B = [R, mean(x)] (F x (F+1)) and zt_n = (z_n, 1). The network is applied to the F+1 columns of
B in place of the N samples, and the loss is exactly N/2 ||f(B) - A B||_F^2. Only the l1 and linf normalizers still look
at the samples zt. What this saves is in `normlab.studies.deep_linear.network`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normlab import seeding


@dataclass(frozen=True)
class Problem:
    """One regression problem a seed; S seeds, F features, N samples, all float64.

    Attributes:
        seeds: the S seeds.
        inputs: (S, F, F+1), B = [R, mean(x)].
        targets: (S, F, F+1), A B.
        samples: (S, F+1, N), the whitened samples zt with their last row 1.
    """

    seeds: tuple[int, ...]
    inputs: Tensor
    targets: Tensor
    samples: Tensor

    @property
    def n_samples(self) -> int:
        """N."""
        return self.samples.shape[-1]


def draw_problem(seeds: Sequence[int], features: int, samples: int) -> Problem:
    """The problems of `seeds`; equal for every normalizer and learning rate, so that comparisons are paired.

    Args:
        seeds: at least one.
        features: F, at least 1.
        samples: N, more than F, so that the samples span the space.

    Raises:
        ValueError: too few samples.
    """
    if samples <= features:
        raise ValueError(f"samples: expected more than the {features} features, got {samples}")
    return reduce_data(seeds, *draw_data(seeds, features, samples))


def draw_data(seeds: Sequence[int], features: int, samples: int) -> tuple[Tensor, Tensor]:
    """The raw inputs x (S, N, F) and the teachers A (S, F, F), all entries N(0, 1)."""
    x = [_normal(seeding.generator(seed, "dln-inputs"), samples, features) for seed in seeds]
    teacher = [_normal(seeding.generator(seed, "dln-teacher"), features, features) for seed in seeds]
    return torch.stack(x), torch.stack(teacher)


def reduce_data(seeds: Sequence[int], x: Tensor, teacher: Tensor) -> Problem:
    """The exact reduction of the inputs x (S, N, F) and teachers A (S, F, F) to a `Problem`."""
    mean = x.mean(1)
    centered = x - mean[:, None]
    root = torch.linalg.cholesky(centered.mT @ centered / x.shape[1])
    white = torch.linalg.solve_triangular(root, centered.mT, upper=False)
    inputs = torch.cat([root, mean[..., None]], -1)
    samples = torch.cat([white, torch.ones_like(white[:, :1])], 1)
    return Problem(tuple(seeds), inputs, teacher @ inputs, samples)


def draw_weights(seeds: Sequence[int], depth: int, features: int) -> Tensor:
    """Glorot uniform weights (S, depth, F, F): U(-a, a) with a = sqrt(6 / (F + F)), one stream a seed."""
    bound = (6 / (2 * features)) ** 0.5
    draws = [
        torch.rand(depth, features, features, dtype=torch.float64, generator=seeding.generator(seed, "init"))
        for seed in seeds
    ]
    return (2 * torch.stack(draws) - 1) * bound


def _normal(draws: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=draws)
