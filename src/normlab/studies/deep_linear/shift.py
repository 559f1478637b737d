r"""Internal covariate shift of the deep linear network, batched over seeds and layers.

    G_i  = grad_{W_i} L(w_1^t, ..., w_k^t)
    G'_i = grad_{W_i} L(w_1^{t+1}, ..., w_{i-1}^{t+1}, w_i^t, ..., w_k^t),     w^{t+1} = w^t - lr grad L(w^t)
    l2 = ||G_i - G'_i||,   relative_l2 = l2 / ||G_i||,   cosine = <G_i, G'_i> / (||G_i|| ||G'_i||)

w_l holds W_l and the affine parameters of the normalizer after it. The first layer gives exactly 0 and 1.

Place in the paper: Definition 2.1 and Figure 3(b). The same definitions as `normlab.probes.covariate_shift`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import Problem


def preceding(network: Network, layers: Sequence[int]) -> Tensor:
    """Which of the P parameters come before each of `layers` (numbered from 1): bool (len(layers), P)."""
    weights = torch.arange(1, network.depth + 1).repeat_interleave(network.features**2)
    norms = torch.arange(1, network.n_normalized + 1).repeat_interleave(network.features)
    owner = torch.cat([weights, norms, norms])[: network.n_params]
    return owner < torch.tensor(layers)[:, None]


@torch.no_grad()
def covariate_shift(
    network: Network, problem: Problem, params: Tensor, gradient: Tensor, learning_rate: float, layers: Sequence[int]
) -> dict[str, Tensor]:
    """The shift of the weight matrices of `layers` (numbered from 1) for one step of gradient descent.

    Args:
        network: the network.
        problem: the S problems.
        params: (S, P), w^t.
        gradient: (S, P) at `params`.
        learning_rate: of the step from w^t to w^{t+1}.
        layers: L layer numbers.

    Returns:
        "l2", "relative_l2" and "cosine", each (S, L); NaN where a gradient is zero.
    """
    stepped = preceding(network, layers)
    updated = params - learning_rate * gradient
    mixed = torch.where(stepped, updated[:, None], params[:, None])
    shifted = network.evaluate(problem, mixed)[1]
    # nothing precedes the first layer: G' is G itself, whatever the rounding of a differently batched product
    shifted = torch.where(stepped.any(1, keepdim=True), shifted, gradient[:, None])
    block = torch.tensor(layers)[:, None] - 1
    columns = block * network.features**2 + torch.arange(network.features**2)
    after = shifted.gather(2, columns.expand(len(params), -1, -1))
    before = gradient[:, columns]
    norm, norm_after = (torch.linalg.vector_norm(g, dim=-1) for g in (before, after))
    l2 = torch.linalg.vector_norm(before - after, dim=-1)
    cosine = torch.linalg.vecdot(before / norm[..., None], after / norm_after[..., None]).clamp(-1, 1)
    cosine = torch.where((before == after).all(-1) & (norm > 0), torch.ones_like(cosine), cosine)
    return {"l2": l2, "relative_l2": l2 / norm, "cosine": cosine}


def layer_norms(network: Network, vector: Tensor) -> Tensor:
    """The length of every matrix's part of the parameters, or of a gradient: (S, depth) from (S, P)."""
    return torch.linalg.vector_norm(network.unpack(vector)[0].flatten(2), dim=-1)
