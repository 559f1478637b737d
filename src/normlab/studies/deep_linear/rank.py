r"""The losses at which a deep linear network of low rank must stay: plateaus of training known before it starts.

    floor_r = min over maps M of rank <= r of  N/2 ||M - T||_F^2  =  N/2 sum_{i > r} sigma_i(T)^2        (Eckart-Young)

with T the target as a map of the whitened samples (`normlab.studies.deep_linear.problem`). Gradient descent on a
product of matrices learns one singular direction after the other and rests near floor_0, floor_1, ... in between, so
that the loss after a fixed number of steps says how many directions were learned, on a scale that the drawn A alone
sets. Not in the paper.
"""

import torch
from torch import Tensor

from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import Problem


def rank_floors(network: Network, problem: Problem) -> Tensor:
    """floor_0 .. floor_F of each seed: (S, F+1); floor_F is 0 but for what the network cannot express.

    A normalized last layer without affine parameters fixes the length of every row of the map: its floors have no
    closed form and are NaN. With them gamma sets the length, and the floors are the same.

    With "none" the mean of the samples is one more column of T. The normalizers take the mean out: with affine
    parameters the last beta fits it separately, at best exactly; without, all of it stays in the loss.
    """
    spread, mean = problem.targets, torch.zeros_like(problem.targets[..., :1])
    if network.scale is not None:
        spread = problem.targets[..., :-1]
        if not network.affine:
            mean = problem.targets[..., -1:]
    if network.last_layer and network.norm_layer != "none" and not network.affine:
        return torch.full_like(spread[..., 0, :1], torch.nan).expand(-1, network.features + 1)
    energy = torch.linalg.svdvals(spread).square()
    # sum of all but the r largest, for r = 0 .. F
    tails = energy.flip(1).cumsum(1).flip(1)
    floors = torch.cat([tails, torch.zeros_like(tails[:, :1])], 1) + mean.square().sum(-2)
    return problem.n_samples / 2 * floors
