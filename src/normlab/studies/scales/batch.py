"""s = sqrt(var(y) + eps): the squared row length of the map without the column of the mean."""

from torch import Tensor


def batch(samples: Tensor, output: Tensor, spread: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """1/s and ds/dM of BatchNorm."""
    part = output * spread
    inverse = ((part * part).sum(-1, keepdim=True) + eps).rsqrt()
    return inverse, part * inverse
