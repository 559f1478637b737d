"""Layers with the paper's initialization: Glorot weights, zero biases."""

from torch import nn


def build_conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution with padding 1 and bias: (N, in, H, W) -> (N, out, ceil(H/stride), ceil(W/stride)).

    Weights ~ U(-a, a) with a = sqrt(6 / (9 in + 9 out)) (Glorot), from torch's global generator; bias 0. The bias is
    kept in front of normalizers, where it has no effect, so that the parameters pair over normalizers.
    """
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)
    _glorot(conv)
    return conv


def build_linear(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
    """A linear layer: weights ~ U(-a, a), a = sqrt(6 / (in + out)) (Glorot), from torch's generator; zero bias."""
    linear = nn.Linear(in_features, out_features, bias=bias)
    _glorot(linear)
    return linear


def scale_channels(channels: int, width: float) -> int:
    """`channels` times `width`, rounded, at least 1.

    Raises:
        ValueError: `width` is not a positive number.
    """
    if not 0 < width < float("inf"):
        raise ValueError(f"width: expected a positive number, got {width!r}")
    return max(1, round(channels * width))


def _glorot(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
