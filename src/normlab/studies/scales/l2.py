"""s = sqrt(mean y^2 + eps): the squared row length of the whole map."""

from torch import Tensor


def l2(samples: Tensor, output: Tensor, spread: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """1/s and ds/dM of the l2 normalizer."""
    inverse = ((output * output).sum(-1, keepdim=True) + eps).rsqrt()
    return inverse, output * inverse
