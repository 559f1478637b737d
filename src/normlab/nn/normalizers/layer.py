"""LayerNorm for images: one mean and deviation a sample."""

from torch import nn


def layer(channels: int, *, affine: bool = True, eps: float = 1e-5) -> nn.GroupNorm:
    """z = gamma (y - mean) / sqrt(variance + eps) + beta over all channels and pixels of a sample, gamma a channel.

    `torch.nn.GroupNorm` with one group. Not in the paper.
    """
    return nn.GroupNorm(1, channels, eps=eps, affine=affine)
