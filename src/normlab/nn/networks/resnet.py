"""The CIFAR ResNet with any normalizer."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from normlab.nn.initialization import build_conv3x3, build_linear, scale_channels
from normlab.nn.registry import NormLayer, normalizer

DEPTHS = (20, 32, 44, 56)
CHANNELS = (16, 32, 64)


class ResidualBlock(nn.Module):
    """relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x)).

    The shortcut has no parameters (option A of He et al. 2016): where the block halves the image, every second pixel is
    taken and the new channels are zero.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_layer: NormLayer) -> None:
        super().__init__()
        self.conv1 = build_conv3x3(in_channels, out_channels, stride)
        self.norm1 = normalizer(norm_layer, out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = build_conv3x3(out_channels, out_channels)
        self.norm2 = normalizer(norm_layer, out_channels)
        self.relu2 = nn.ReLU()
        self.stride, self.new_channels = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, ceil(H/stride), ceil(W/stride))."""
        branch = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x
        if self.new_channels:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        return self.relu2(branch + shortcut)


class ResNet(nn.Module):
    """A stem, three stages of residual blocks, the mean over pixels, a linear classifier; built by `resnet`."""

    def __init__(self, stem: nn.Sequential, stages: list[nn.Sequential], classifier: nn.Linear) -> None:
        super().__init__()
        self.stem = stem
        self.stage1, self.stage2, self.stage3 = stages
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, 3, H, W)."""
        if x.dim() != 4 or x.shape[1] != 3:
            raise ValueError(f"resnet: expected images of shape (N, 3, H, W), got {tuple(x.shape)}")
        return self.classifier(self.stage3(self.stage2(self.stage1(self.stem(x)))).mean((2, 3)))


def resnet(depth: int = 20, norm_layer: NormLayer = "batch", num_classes: int = 10, width: float = 1.0) -> ResNet:
    """The CIFAR ResNet of He et al. (2016): 6n + 2 layers, three stages of n blocks with 16, 32, 64 channels.

    Shortcuts have no parameters (option A). All convolutions are 3x3 with bias, also in front of normalizers, so that
    the network without normalizers is complete and the parameters pair. Weights are Glorot uniform, biases zero, drawn
    from torch's global generator; with "none" the residual branches keep about a quarter of the signal's variance
    each, so activations stay finite at 56 layers.

    Module names: `stem.conv`, `stem.norm`, `stage1.block0.conv1`, `.norm1`, `.conv2`, `.norm2`, ..., `classifier`.

    Args:
        depth: 20, 32, 44 or 56.
        norm_layer: a kind of `normlab.nn.normalizer`, or a function from the number of channels to a module.
        num_classes: number of outputs.
        width: factor on all numbers of channels.

    Returns:
        A module (N, 3, 32, 32) -> (N, num_classes).

    Example:
        >>> import torch
        >>> from normlab import nn
        >>> nn.resnet(20, width=0.25, norm_layer="group")(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Raises:
        ValueError: a depth, width, normalizer or number that is not accepted.

    Place in the paper: Appendix A.1 says that other architectures gave similar results; this is the one to check it on.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth: expected one of {', '.join(map(str, DEPTHS))}, got {depth!r}")
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"num_classes: expected a whole number of at least 1, got {num_classes!r}")
    channels = scale_channels(CHANNELS[0], width)
    stem = nn.Sequential(
        OrderedDict(conv=build_conv3x3(3, channels), norm=normalizer(norm_layer, channels), relu=nn.ReLU())
    )
    stages = []
    for stage, base in enumerate(CHANNELS):
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for index in range((depth - 2) // 6):
            out_channels = scale_channels(base, width)
            stride = 2 if stage > 0 and index == 0 else 1
            blocks[f"block{index}"] = ResidualBlock(channels, out_channels, stride, norm_layer)
            channels = out_channels
        stages.append(nn.Sequential(blocks))
    return ResNet(stem, stages, build_linear(channels, num_classes))
