"""InstanceNorm, PyTorch's own."""

from torch import nn


def instance(channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5) -> nn.InstanceNorm2d:
    """z = gamma (y - mean) / sqrt(variance + eps) + beta over the pixels of one channel of a sample.

    `torch.nn.InstanceNorm2d`. Not in the paper.

    Raises:
        ValueError: dims=0, where every channel of a sample is a single value.
    """
    if dims == 0:
        raise ValueError("instance: needs pixels (dims=2); with dims=0 each channel of a sample is a single value")
    return nn.InstanceNorm2d(channels, eps=eps, affine=affine)
