"""VGG: layer names and sizes, initialization, pairing over normalizers."""

import pytest
import torch
from torch import nn

from normlab.nn import normalizer, vgg
from normlab.specs.parts import names


@pytest.mark.parametrize(("depth", "convolutions"), [(11, 8), (13, 10), (16, 13), (19, 16)])
def test_layers_by_depth(depth, convolutions):
    network = vgg(depth, width=0.25)
    names = [name for name, _ in network.features.named_children()]
    for index in range(1, convolutions + 1):
        start = names.index(f"conv{index}")
        assert names[start : start + 3] == [f"conv{index}", f"norm{index}", f"relu{index}"]
    assert sum(name.startswith("conv") for name in names) == convolutions
    assert [name for name in names if name.startswith("pool")] == [f"pool{index}" for index in range(1, 6)]
    assert isinstance(network.classifier, nn.Linear)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_parameter_count_of_vgg16():
    # 13 convolutions (14,714,688 with biases) and 512*10 + 10, the usual VGG-16 features; 2*4224 of the normalizers
    assert sum(p.numel() for p in vgg(16, norm_layer="none").parameters()) == 14_714_688 + 5_130
    assert sum(p.numel() for p in vgg(16, norm_layer="batch").parameters()) == 14_714_688 + 5_130 + 2 * 4224


@pytest.mark.parametrize("kind", names("normalizer"))
def test_seeds_pair_over_normalizers(kind):
    torch.manual_seed(5)
    plain = dict(vgg(11, 0.125, "none").named_parameters())
    torch.manual_seed(5)
    other = dict(vgg(11, 0.125, kind).named_parameters())
    assert plain.keys() <= other.keys()
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_glorot_uniform_weights_and_zero_biases():
    network = vgg(11, 0.5)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            area = module.weight[0, 0].numel()
            bound = (6 / (area * (module.weight.shape[0] + module.weight.shape[1]))) ** 0.5
            top = module.weight.detach().abs().max().item()
            # the largest of n > 850 uniforms misses the end by 2% with odds below e-17
            assert 0.98 * bound < top <= bound
            assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
            assert not module.bias.any()


def test_width_mlp_channels_and_own_normalizer():
    network = vgg(11, 0.125, classifier="mlp", in_channels=1, num_classes=7)
    assert network.features.conv1.weight.shape == (8, 1, 3, 3)
    assert [m.out_features for m in network.classifier if isinstance(m, nn.Linear)] == [512, 512, 7]
    assert network(torch.randn(2, 1, 32, 32)).shape == (2, 7)
    own = vgg(11, 0.125, lambda channels: normalizer("group", channels, groups=4))
    assert own.features.norm1.num_groups == 4


def test_float64_and_channels_last():
    network = vgg(11, 0.125, "l2").double()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    z = network(x)
    assert z.dtype == torch.float64
    # another memory layout may sum in another order
    torch.testing.assert_close(network(x.to(memory_format=torch.channels_last)), z, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 12}, "depth: expected one of 11, 13, 16, 19, got 12"),
        ({"width": 0.0}, "width: expected a positive number, got 0.0"),
        ({"norm_layer": "bn"}, "normalizer: accepted: batch, .*, or a path module:attribute, got 'bn'"),
        ({"classifier": "big"}, "classifier: expected one of linear, mlp, got 'big'"),
        ({"num_classes": 0}, "num_classes: .* got 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        vgg(**options)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 3, 16, 16), (3, 32, 32)])
def test_bad_inputs(shape):
    with pytest.raises(ValueError, match=r"expected images of shape \(N, 3, H, W\) with H, W >= 32"):
        vgg(11, 0.125)(torch.randn(shape))
