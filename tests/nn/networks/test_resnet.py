"""The CIFAR ResNet: sizes, shortcut, pairing, and training without normalizers."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from normlab.nn import resnet
from normlab.nn.networks.resnet import ResidualBlock


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_depth_counts_weight_layers(depth, millions):
    network = resnet(depth)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules()) == depth
    # He et al., Table 6, two digits
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.0075)


def test_names_and_shapes():
    network = resnet(20, "group", num_classes=5, width=0.5)
    names = dict(network.named_modules())
    for name in ("stem.conv", "stem.norm", "stage1.block0.conv1", "stage3.block2.norm2", "classifier"):
        assert name in names
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert network.stage3(network.stage2(torch.randn(1, 8, 32, 32))).shape == (1, 32, 8, 8)


def test_block_against_its_formula():
    block = ResidualBlock(2, 4, 2, "none").double()
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    branch = functional.conv2d(x, block.conv1.weight, stride=2, padding=1).relu()
    expected = functional.conv2d(branch, block.conv2.weight, padding=1)
    for channel in range(2):
        expected[:, channel] += x[:, channel, ::2, ::2]
    # the same convolutions with a zero bias added: rounding of single sums
    torch.testing.assert_close(block(x), expected.relu(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", ["batch", "noisy_batch", "linf", "layer", "instance"])
def test_seeds_pair_over_normalizers(kind):
    torch.manual_seed(5)
    plain = dict(resnet(20, "none", width=0.25).named_parameters())
    torch.manual_seed(5)
    other = dict(resnet(20, kind, width=0.25).named_parameters())
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_without_normalizers_the_deepest_network_is_finite_and_learns():
    torch.manual_seed(0)
    network = resnet(56, "none", width=0.25)
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss = functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] < 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 18}, "depth: expected one of 20, 32, 44, 56, got 18"),
        ({"width": -1}, "width"),
        ({"norm_layer": "bn"}, "normalizer: accepted: batch"),
        ({"num_classes": 0}, "num_classes: .* got 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        resnet(**options)


def test_bad_input():
    with pytest.raises(ValueError, match=r"expected images of shape \(N, 3, H, W\), got \(2, 1, 32, 32\)"):
        resnet(20, width=0.25)(torch.randn(2, 1, 32, 32))
