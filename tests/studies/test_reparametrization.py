"""BatchNorm put into a plain network: the same function, and the same outputs at every layer."""

import dataclasses

import pytest
import torch
from tests import tiny

from normlab.runs.networks import build_network
from normlab.studies.reparametrization import _takes_batch_norm, function_gap, insert_batch_norm


@pytest.fixture(scope="module", params=["vgg11", "resnet20"])
def case(request):
    run = dataclasses.replace(tiny.run_spec("none"), network=request.param)
    plain = build_network(run, 3).double().train()
    inputs = torch.randn(16, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return plain, insert_batch_norm(plain, run, inputs, 3), inputs


def test_the_function_is_the_same_on_the_batch(case):
    plain, normalized, inputs = case
    # float64 through 8 to 20 normalized layers
    assert function_gap(plain, normalized, inputs) < 1e-10
    assert function_gap(plain, normalized, inputs[:8]) > 1e-6  # another batch has other statistics


def test_scale_and_shift_are_the_batch_statistics(case):
    plain, normalized, inputs = case
    outputs = {}
    name = next(name for name, module in normalized.named_modules() if isinstance(module, torch.nn.BatchNorm2d))
    handle = plain.get_submodule(name).register_forward_hook(lambda m, i, out: outputs.update(y=out))
    plain(inputs)
    handle.remove()
    norm, y = normalized.get_submodule(name), outputs["y"]
    for channel in range(y.shape[1]):
        values = y[:, channel].flatten()
        # means of 16,384 numbers in another order
        assert norm.bias[channel].item() == pytest.approx(values.mean().item(), rel=1e-9, abs=1e-12)
        expected = (values.var(unbiased=False) + norm.eps).sqrt().item()
        assert norm.weight[channel].item() == pytest.approx(expected, rel=1e-9)


def test_a_dead_channel_and_a_broken_network_pass_through(case):
    plain = build_network(tiny.run_spec("none"), 3).double().train()
    inputs = case[2]
    with torch.no_grad():
        plain.features.conv1.weight[0] = 0.0
    assert function_gap(plain, insert_batch_norm(plain, tiny.run_spec("none"), inputs, 3), inputs) < 1e-10
    with torch.no_grad():
        plain.features.conv2.weight[0] = float("inf")
    gap = function_gap(plain, insert_batch_norm(plain, tiny.run_spec("none"), inputs, 3), inputs)
    assert gap != gap


ODD = """
from torch import nn


def odd(norm_layer, num_classes):
    \"\"\"With BatchNorm, one normalized layer more than without.\"\"\"
    more = [nn.Conv2d(3, 3, 1), norm_layer(3)] if isinstance(norm_layer(3), nn.BatchNorm2d) else []
    head = [nn.Conv2d(3, 4, 3), norm_layer(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)]
    return nn.Sequential(*more, *head)
"""


@pytest.mark.parametrize(("network", "takes"), [("vgg11", True), ("odd_networks:odd", False)])
def test_only_a_network_that_normalizes_the_same_layers_takes_batch_norm(network, takes, tmp_path, monkeypatch):
    (tmp_path / "odd_networks.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    run = dataclasses.replace(tiny.run_spec("none"), network=network)
    assert _takes_batch_norm(run, 3, torch.zeros(2, 3, 32, 32)) is takes
