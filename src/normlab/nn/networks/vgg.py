"""VGG for 32x32 images with any normalizer."""

from collections import OrderedDict

from torch import Tensor, nn

from normlab.nn.initialization import build_conv3x3, build_linear, scale_channels
from normlab.nn.registry import NormLayer, normalizer

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in each of the five stages, by depth."""
CHANNELS = (64, 128, 256, 512, 512)
CLASSIFIERS = ("linear", "mlp")


class VGG(nn.Module):
    """Five stages of [3x3 convolution, normalizer, ReLU] and a max pool, the mean over pixels, a classifier.

    Module names: `features.conv1`, `features.norm1`, `features.relu1`, `features.pool1`, ... and `classifier`, the same
    for every normalizer ("none" has an `nn.Identity` at `features.normK`). Built by `vgg`.
    """

    def __init__(self, features: nn.Sequential, classifier: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier
        self.in_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W) with H, W >= 32."""
        if x.dim() != 4 or x.shape[1] != self.in_channels or min(x.shape[2:]) < 32:
            raise ValueError(
                f"vgg: expected images of shape (N, {self.in_channels}, H, W) with H, W >= 32, got {tuple(x.shape)}"
            )
        return self.classifier(self.features(x).mean((2, 3)))


def vgg(
    depth: int = 16,
    width: float = 1.0,
    norm_layer: NormLayer = "batch",
    num_classes: int = 10,
    *,
    classifier: str = "linear",
    in_channels: int = 3,
) -> VGG:
    """A VGG network for 32x32 images: relu(norm(conv(x))) layers, five max pools, a classifier on 512 * width features.

    All convolutions are 3x3 with bias. Weights are Glorot uniform, biases zero, drawn from torch's global generator
    layer by layer; normalizers draw nothing, so a seed gives the same weights with every `norm_layer`.

    Args:
        depth: 11, 13, 16 or 19 (8, 10, 13 or 16 convolutions).
        width: factor on all numbers of channels (64, 128, 256, 512, 512), and on the hidden units of "mlp".
        norm_layer: a kind of `normlab.nn.normalizer`, or a function from the number of channels to a module.
        num_classes: number of outputs.
        classifier: "linear" is one linear layer, named `classifier`. "mlp" is VGG's own head, two hidden ReLU layers of
            4096 * width units, without Dropout: `classifier.linear1`, `classifier.linear2`, `classifier.linear3`.
        in_channels: channels of the images.

    Returns:
        A module (N, in_channels, 32, 32) -> (N, num_classes).

    Example:
        >>> import torch
        >>> from normlab import nn
        >>> nn.vgg(11, width=0.125, norm_layer="l1")(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Raises:
        ValueError: a depth, width, normalizer, classifier or number that is not accepted.

    Place in the paper: the "VGG-like" network of Section 2 and Appendix A.1 (exact depth, width and head are not given;
    the layer numbers of the figures need at least 13 normalized layers).
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth: expected one of {', '.join(map(str, DEPTHS))}, got {depth!r}")
    if classifier not in CLASSIFIERS:
        raise ValueError(f"classifier: expected one of {', '.join(CLASSIFIERS)}, got {classifier!r}")
    for name, number in (("num_classes", num_classes), ("in_channels", in_channels)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {number!r}")
    features: OrderedDict[str, nn.Module] = OrderedDict()
    channels, index = in_channels, 0
    for stage, (convolutions, base) in enumerate(zip(DEPTHS[depth], CHANNELS, strict=True), start=1):
        for _ in range(convolutions):
            index += 1
            out_channels = scale_channels(base, width)
            features[f"conv{index}"] = build_conv3x3(channels, out_channels)
            features[f"norm{index}"] = normalizer(norm_layer, out_channels)
            features[f"relu{index}"] = nn.ReLU()  # not in place: probes read the normalizer's output
            channels = out_channels
        features[f"pool{stage}"] = nn.MaxPool2d(2)
    return VGG(nn.Sequential(features), _build_classifier(classifier, channels, width, num_classes), in_channels)


def _build_classifier(kind: str, features: int, width: float, num_classes: int) -> nn.Module:
    if kind == "linear":
        return build_linear(features, num_classes)
    hidden = scale_channels(4096, width)
    return nn.Sequential(
        OrderedDict(
            linear1=build_linear(features, hidden),
            relu1=nn.ReLU(),
            linear2=build_linear(hidden, hidden),
            relu2=nn.ReLU(),
            linear3=build_linear(hidden, num_classes),
        )
    )
