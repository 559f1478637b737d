"""A normalizer from outside the package: `norm_layer: examples.layers:RMSNorm2d`."""

import torch
from torch import Tensor, nn


class RMSNorm2d(nn.Module):
    """z = gamma * y / sqrt(mean of y^2 over the channels + eps), at every pixel of (N, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        scale = (x.square().mean(1, keepdim=True) + self.eps).rsqrt()
        return x * scale * self.weight.view(1, -1, 1, 1)
