"""s = max|y| + eps, from the samples: D = sign(M zt_*) zt_*^T, zt_* the (first) sample of the largest |M zt_n|."""

import torch
from torch import Tensor


def linf(samples: Tensor, output: Tensor, spread: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """1/s and ds/dM of the l-infinity normalizer."""
    slope = _slope(samples, output.detach())
    return ((slope * output).sum(-1, keepdim=True) + eps).reciprocal(), slope


@torch.no_grad()
def _slope(samples: Tensor, output: Tensor) -> Tensor:
    rows = output.reshape(len(samples), -1, output.shape[-1])  # (S, V F, F+1)
    largest = torch.bmm(rows, samples).abs().argmax(-1)[:, None].expand(-1, output.shape[-1], -1)
    chosen = samples.gather(2, largest).mT
    return (chosen * (chosen * rows).sum(-1, keepdim=True).sign()).reshape(output.shape)
