"""The door: other people's normalizers and networks by a dotted path, from real modules on Python's path."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import normlab.nn
from normlab.nn import deep_linear, network, normalizer, vgg
from normlab.specs.parts import stems

LAYERS = '''
from collections import OrderedDict  # somebody else's, by names before and after this module's
from functools import partial

import torch
from torch import nn


class RMSNorm2d(nn.Module):
    """z = gamma y / sqrt(mean of y^2 over the channels + eps)."""

    def __init__(self, channels, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(channels)), eps

    def forward(self, x):
        return x * (x.square().mean(1, keepdim=True) + self.eps).rsqrt() * self.weight.view(1, -1, 1, 1)


def any_shape(channels, dims, affine=True):
    return (nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d)(channels, affine=affine)


def no_module(channels):
    return channels


not_callable = 3
'''
NETS = """
from torch import nn


def small(norm_layer, num_classes=10, width=1.0):
    channels = round(8 * width)
    head = nn.Flatten(), nn.Linear(900 * channels, num_classes)
    return nn.Sequential(nn.Conv2d(3, channels, 3), norm_layer(channels), *head)


def plain(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))


def passes_on(**kwargs):
    return small(**kwargs)


def needs_more(norm_layer, depth_of_field):
    return nn.Identity()
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "door_layers.py").write_text(LAYERS)
    (tmp_path / "door_nets.py").write_text(NETS)
    (tmp_path / "door_borrows.py").write_text(
        "from functools import partial\nfrom math import pi\n_own = partial(print)\n"
    )
    (tmp_path / "door_fails.py").write_text("raise OSError('no\\nluck')\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_dotted_path_works_like_a_built_in_name() -> None:
    layer = normalizer("door_layers:RMSNorm2d", 4)
    x = torch.randn(2, 4, 3, 3)
    expected = x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), expected)  # one float32 rounding of rsqrt
    model = vgg(11, width=0.125, norm_layer="door_layers:RMSNorm2d")
    assert type(model.features.norm1).__name__ == "RMSNorm2d"
    assert type(normalizer("torch.nn:BatchNorm2d", 8, eps=1e-3)) is nn.BatchNorm2d
    assert normalizer("torch.nn:BatchNorm2d", 8, eps=1e-3).eps == 1e-3


def test_a_normalizer_is_given_only_what_its_signature_names() -> None:
    assert type(normalizer("door_layers:any_shape", 4, dims=0, eps=0.1, momentum=None)) is nn.BatchNorm1d
    assert not normalizer("door_layers:any_shape", 4, affine=False).affine
    assert normalizer("door_layers:RMSNorm2d", 4, eps=0.1, affine=False).eps == 0.1
    assert type(deep_linear(3, 4, "door_layers:any_shape").layers.norm1) is nn.BatchNorm1d


def test_options_reach_a_callable_through_another() -> None:
    own = functools.partial(normalizer, "batch")
    assert type(normalizer(own, 4, dims=0)) is nn.BatchNorm1d
    assert normalizer(own, 4, eps=0.1).eps == 0.1
    assert type(normalizer(lambda channels: nn.GroupNorm(2, channels), 4, dims=2)) is nn.GroupNorm


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("door_layer:RMSNorm2d", ValueError, "normalizer 'door_layer:RMSNorm2d': there is no module 'door_layer'"),
        ("door_layers:RMSNorm", ValueError, "door_layers has no callable 'RMSNorm'; it has: RMSNorm2d, any_shape"),
        ("door_layers:not_callable", ValueError, "has no callable 'not_callable'"),
        ("door_borrows:f", ValueError, "door_borrows has no callable 'f'; it has: partial$"),
        ("door_fails:f", ValueError, "importing door_fails: OSError: no luck"),
        ("door_layers:no_module", TypeError, r"expected a torch.nn.Module for 4 channels, got int"),
        (
            "torch.nn:GroupNorm",
            TypeError,
            r"called with the number of channels alone, but its signature is \(num_groups",
        ),
    ],
)
def test_a_wrong_normalizer_is_refused_in_one_line(name: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        normalizer(name, 4)
    assert "\n" not in str(caught.value)


def test_networks_by_name_are_the_functions() -> None:
    torch.manual_seed(0)
    expected = vgg(11, 0.125, "batch", 7)
    torch.manual_seed(0)
    found = network("vgg11", norm_layer="batch", num_classes=7, width=0.125)
    assert list(expected.state_dict()) == list(found.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(expected.parameters(), found.parameters(), strict=True))
    assert [type(module) for module in expected.modules()] == [type(module) for module in found.modules()]
    assert type(network("deep_linear", norm_layer="batch").layers.norm1) is nn.BatchNorm1d
    assert sum(isinstance(m, nn.Conv2d) for m in network("resnet20", norm_layer="none").modules()) == 19


def test_every_family_is_an_attribute_and_no_other_is_imported() -> None:
    assert {"vgg", "resnet", "deep_linear"} <= set(stems("network")) <= set(dir(normlab.nn))
    with pytest.raises(AttributeError, match="no attribute 'alexnet'"):
        normlab.nn.alexnet  # noqa: B018
    program = "import sys; from normlab.nn import network; network('vgg11', norm_layer='l1', width=0.125);"
    program += "print(sorted(n for n in sys.modules if n.startswith(('normlab.nn.networks.', 'normlab.nn.norm'))))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['normlab.nn.networks.vgg', 'normlab.nn.normalizers', 'normlab.nn.normalizers.l1']\n"


def test_a_network_of_ones_own_gets_what_its_signature_names() -> None:
    own = network("door_nets:small", norm_layer="l1", num_classes=5, width=0.5)
    assert own(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert (own[0].out_channels, own[1].kind) == (4, "l1")
    assert network("door_nets:plain", norm_layer="none", num_classes=5, width=0.5)[1].out_features == 5
    # a signature that ends in **kwargs gets the two that decide what is trained, and no width
    assert network("door_nets:passes_on", norm_layer="batch", num_classes=5, width=0.5)[0].out_channels == 8
    resnet18 = network("torchvision.models:resnet18", norm_layer="l1", num_classes=5, width=0.5)
    assert (resnet18.bn1.kind, resnet18.fc.out_features) == ("l1", 5)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "door_nets:plain",
            ValueError,
            "door_nets:plain: has no argument norm_layer, so it runs with norm_layer none alone",
        ),
        ("door_nets:needs_more", TypeError, "missing a required argument: 'depth_of_field'"),
        ("door_nets:tiny", ValueError, "door_nets has no callable 'tiny'; it has: small, plain, passes_on, needs_more"),
        ("vgg12", ValueError, "network: accepted: .*vgg11.* got 'vgg12'"),
    ],
)
def test_a_wrong_network_is_refused_in_one_line(name: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        network(name, norm_layer="batch", num_classes=5)
    assert "\n" not in str(caught.value)
