"""s = mean|y| + eps, from the samples: D = mean_n sign(M zt_n) zt_n^T, and <D, M> = mean|y|."""

import torch
from torch import Tensor


def l1(samples: Tensor, output: Tensor, spread: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """1/s and ds/dM of the l1 normalizer."""
    slope = _slope(samples, output.detach())
    return ((slope * output).sum(-1, keepdim=True) + eps).reciprocal(), slope


@torch.no_grad()
def _slope(samples: Tensor, output: Tensor) -> Tensor:
    y = torch.bmm(output.reshape(len(samples), -1, output.shape[-1]), samples)  # (S, V F, N)
    return torch.bmm(y.sign_(), samples.mT).div_(samples.shape[-1]).view_as(output)
