"""The deep linear network of the paper, with any normalizer."""

from collections import OrderedDict

from torch import Tensor, nn

from normlab.nn.initialization import build_linear
from normlab.nn.registry import NormLayer, normalizer


class DeepLinear(nn.Module):
    """f(x) = W_k norm(W_{k-1} ... norm(W_1 x)); built by `deep_linear`.

    Module names: `layers.linear1`, `layers.norm1`, ..., `layers.linearK` (and `layers.normK` with `last_layer`).
    """

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) -> (N, features)."""
        return self.layers(x)


def deep_linear(
    depth: int = 25, features: int = 10, norm_layer: NormLayer = "none", *, last_layer: bool = False
) -> DeepLinear:
    """A product of square matrices without bias, a normalizer after each but the last: W_k norm(... norm(W_1 x)).

    Weights are Glorot uniform from torch's global generator, layer by layer; normalizers draw nothing, so a seed gives
    the same matrices with every `norm_layer`. With "none" the network has exactly `depth` parameters. The paper does
    not say whether the last layer is normalized; that leaves the scale of the outputs to the normalizer's gamma.

    Args:
        depth: number of matrices, at least 1.
        features: size of the matrices, at least 1.
        norm_layer: a kind of `normlab.nn.normalizer`, or a function from the number of features to a module.
        last_layer: a normalizer after the last matrix as well.

    Returns:
        A module (N, features) -> (N, features).

    Example:
        >>> import torch
        >>> from normlab import nn
        >>> [name for name, _ in nn.deep_linear(depth=2, features=3).named_parameters()]
        ['layers.linear1.weight', 'layers.linear2.weight']

    Raises:
        ValueError: a depth, a number of features or a normalizer that is not accepted; "instance" and, for up to 32
            features, "group" normalize single values here, which leaves nothing of the input.

    Place in the paper: Section 2.2, Appendix A.1 (25 layers of 10x10), Figures 3(b), 5(b), 9, 10, 11, 13.
    """
    for name, number in (("depth", depth), ("features", features)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, got {number!r}")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index in range(1, depth + 1):
        layers[f"linear{index}"] = build_linear(features, features, bias=False)
        if index < depth or last_layer:
            norm = layers[f"norm{index}"] = normalizer(norm_layer, features, dims=0)
            if isinstance(norm, nn.GroupNorm) and norm.num_groups == features:
                raise ValueError(f"group: each of the {features} features would be its own group, every output zero")
    return DeepLinear(nn.Sequential(layers))
