"""What one forward pass shows of a network: normalized layers in order, and what produces their inputs."""

import copy

import pytest
import torch
from torch import nn

from normlab.nn import network, normalizer
from normlab.nn.structure import NormalizedLayer, read_structure
from normlab.specs.parts import names

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("norm_layer", names("normalizer"))
def test_every_normalizer_is_found_behind_its_convolution(norm_layer):
    structure = read_structure(network("vgg11", norm_layer=norm_layer, width=0.125), IMAGES)
    expected = {f"features.norm{number}": f"features.conv{number}" for number in range(1, 9)}
    assert structure.producers == expected
    assert structure.taps == list(expected)
    assert structure.places["features.conv3"] == structure.places["features.norm3"] == 3
    assert "classifier" not in structure.places


def test_residual_and_deep_linear_networks():
    structure = read_structure(network("resnet20", norm_layer="none", width=0.25), IMAGES)
    assert structure.taps[:3] == ["stem.norm", "stage1.block0.norm1", "stage1.block0.norm2"]
    assert structure.producers["stage3.block2.norm2"] == "stage3.block2.conv2"
    assert len(structure.producers) == 19
    linear = read_structure(network("deep_linear", norm_layer="batch"), torch.randn(4, 10))
    assert linear.producers == {f"layers.norm{k}": f"layers.linear{k}" for k in range(1, 25)}


def test_names_of_modules_say_nothing():
    """A network of torchvision, whose normalizers are called bn1 and downsample.1, and none of whose Identity count."""
    structure = read_structure(network("torchvision.models:resnet18", norm_layer="none", num_classes=5), IMAGES)
    assert len(structure.taps) == 20
    assert structure.producers["bn1"] == "conv1"
    assert structure.producers["layer2.0.downsample.1"] == "layer2.0.downsample.0"
    in_front = [structure.producers[name] for name in structure.taps]
    assert [structure.places[name] for name in in_front] == list(range(1, 21))
    norm = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), nn.BatchNorm2d(4))
    assert read_structure(norm, IMAGES).normalized == ()  # nothing here came from a norm_layer


class Between(nn.Module):
    """Normalizers behind a sum, behind an in-place ReLU, behind nothing, and one that is never used."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.again = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1)
        self.first, self.sum, self.behind, self.unused = (normalizer("l1", 3) for _ in range(4))
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        x = self.sum(self.first(x) + x)
        x = self.behind(self.relu(self.conv(x)))
        return self.head(self.again(x).mean((2, 3))) * 2


def test_only_an_untouched_output_has_a_producer():
    structure = read_structure(Between(), IMAGES)
    assert structure.normalized == (
        NormalizedLayer("first", None),
        NormalizedLayer("sum", None),
        NormalizedLayer("behind", None),
    )
    assert structure.producers == {}
    assert structure.places == {"first": 1, "sum": 2, "behind": 3}


def test_the_network_stays_as_it_is():
    model = network("vgg11", norm_layer="noisy_batch", width=0.125).train()
    model.features.norm2.eval()
    before, draws = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    read_structure(model, IMAGES)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), draws)
    assert model.training
    assert not model.features.norm2.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
