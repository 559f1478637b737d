"""BatchNorm put into a plain network: the same function, and the same outputs at every layer."""

import dataclasses

import pytest
import torch
from tests import tiny
from torch import nn

from normlab.data.images import load_images
from normlab.runs.networks import build_network
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.studies import reparametrization
from normlab.studies.reparametrization import (
    _takes_batch_norm,
    function_gap,
    insert_batch_norm,
    measure_reparametrization,
)


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


def test_the_gap_of_two_functions_by_hand():
    first, second = nn.Linear(1, 2, bias=False).double(), nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0], [-4.0]]))
        second.weight.copy_(torch.tensor([[0.5], [-4.25]]))
    inputs = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    assert function_gap(first, second, inputs) == 1.0 / 8.0  # 0.5 of the second sample, beside 8
    assert function_gap(first, first, inputs) == 0.0


@pytest.mark.parametrize("learned", [True, False])
def test_a_network_that_cannot_have_batch_norm_says_so_at_every_step(learned, tmp_path, monkeypatch):
    (tmp_path / "odd_networks.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    run = dataclasses.replace(tiny.run_spec("none"), network="odd_networks:odd")
    spec = ReparametrizationSpec(norm_layer=("none",), steps=(0, 2), step_sizes=(1.0,), learned_affine=learned)
    split = load_images(tiny.write_data(tmp_path / "data"), "train")
    table = measure_reparametrization(spec, run, tmp_path / "no such run", split)
    assert table[["norm_layer", "probe", "quantity", "step", "value"]].to_numpy().tolist() == [
        ["none", "reparametrization", "not_applicable", step, 1.0] for step in (0, 2)
    ]


def test_another_function_is_an_error_and_no_result(tmp_path, monkeypatch):
    run = tiny.run_spec("none")
    network = build_network(run, 3).double().train()
    monkeypatch.setattr(reparametrization, "load_trained", lambda *arguments: network)
    monkeypatch.setattr(reparametrization, "LARGEST_GAP", 0.0)  # rounding is more than this
    spec = ReparametrizationSpec(norm_layer=("none",), steps=(2,), step_sizes=(1.0,))
    split = load_images(tiny.write_data(tmp_path / "data"), "train")
    with pytest.raises(RuntimeError, match=rf"^{run.name}, step 2: BatchNorm changed the function by \d\.\de-\d\d \("):
        measure_reparametrization(spec, run, tmp_path, split)
