"""BatchNorm, PyTorch's own."""

from torch import nn


def batch(
    channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5, momentum: float | None = 0.1
) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """z = gamma (y - mean) / sqrt(variance + eps) + beta, per channel over the batch (and its pixels).

    `torch.nn.BatchNorm2d` for dims=2, `torch.nn.BatchNorm1d` for dims=0; running statistics in eval mode.

    Place in the paper: Section 1.
    """
    layer = nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d
    return layer(channels, affine=affine, eps=eps, momentum=momentum)
