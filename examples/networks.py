"""A network from outside the package: `network: examples.networks:small_vit`, `norm_layer: torch.nn:LayerNorm`."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NormLayer = Callable[[int], nn.Module]


class Block(nn.Module):
    """x + attention(norm1(x)), then x + mlp(norm2(x)), on tokens (N, T, C)."""

    def __init__(self, channels: int, norm_layer: NormLayer) -> None:
        super().__init__()
        self.norm1 = norm_layer(channels)
        self.attend = nn.Linear(channels, 3 * channels)
        self.norm2 = norm_layer(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) -> (N, T, C)."""
        query, key, value = self.attend(self.norm1(x)).chunk(3, dim=-1)
        # written out: torch's fused attention has no second derivative, which the curvature is
        scores = F.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
        x = x + scores @ value
        return x + self.mlp(self.norm2(x))


class SmallViT(nn.Module):
    """A vision transformer on 8x8 patches of 32x32 images: 16 tokens, two blocks, the mean, a classifier."""

    def __init__(self, channels: int, norm_layer: NormLayer, num_classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, channels, 8, stride=8)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, channels))
        self.blocks = nn.Sequential(Block(channels, norm_layer), Block(channels, norm_layer))
        self.norm = norm_layer(channels)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, 3, 32, 32)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(1))


def small_vit(norm_layer: NormLayer, num_classes: int = 10, width: float = 1.0) -> SmallViT:
    """The vision transformer with 64 * width channels."""
    return SmallViT(max(4, round(64 * width)), norm_layer, num_classes)
