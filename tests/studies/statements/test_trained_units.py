"""Tensors of a network with BatchNorm against dense matrices: im2col, the block of the Hessian, both products."""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional

from normlab.studies.statements.trained_units import evenly_spaced, measure_units

B, C, SIDE = 3, 2, 3
PRODUCERS = {"features.norm1": "features.conv1", "features.norm2": "features.conv2"}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers = OrderedDict(
        conv1=nn.Conv2d(1, C, 3, padding=1),
        norm1=nn.BatchNorm2d(C),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(C, C, 3, padding=1),
        norm2=nn.BatchNorm2d(C),
        relu2=nn.ReLU(),
        flat=nn.Flatten(),
        out=nn.Linear(C * SIDE * SIDE, 3),
    )
    model = nn.Sequential(OrderedDict(features=nn.Sequential(layers))).double().train()
    nn.init.uniform_(model.features.norm1.weight, 0.5, 1.5)
    return model


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(B, 1, SIDE, SIDE, dtype=torch.float64, generator=generator), torch.tensor([0, 1, 2])


def head_loss(model: nn.Module, layer: str, z: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    names = [name for name, _ in model.features.named_children()]
    for name in names[names.index(layer) + 1 :]:
        z = model.features.get_submodule(name)(z)
    return functional.cross_entropy(z, targets)


@pytest.mark.parametrize(("conv", "norm"), [("conv1", "norm1"), ("conv2", "norm2")])
def test_units_against_dense_matrices(network, batch, conv, norm):
    inputs, targets = batch
    name = f"features.{norm}"
    before = inputs
    for step in ("conv1", "norm1", "relu1")[: 3 if conv == "conv2" else 0]:
        before = network.features.get_submodule(step)(before)
    y = network.features.get_submodule(conv)(before)
    z = network.features.get_submodule(norm)(y).detach()
    # X: one row a sample and pixel, the order of y[:, unit]
    patches = functional.unfold(before, 3, padding=1).transpose(1, 2).reshape(B * SIDE * SIDE, -1).detach()
    for unit in measure_units(network, batch, {name: [1, 0]}, PRODUCERS):
        j = unit.unit

        def loss_of_unit(values: torch.Tensor, j: int = j) -> torch.Tensor:
            moved = torch.cat([z[:, :j], values.view(B, 1, SIDE, SIDE), z[:, j + 1 :]], dim=1)
            return head_loss(network, norm, moved, targets)

        values = z[:, j].flatten()
        g = torch.autograd.functional.jacobian(loss_of_unit, values)
        hessian = torch.autograd.functional.hessian(loss_of_unit, values)
        v = unit.result.v
        close = {"rtol": 1e-9, "atol": 1e-12}  # float64 sums of a few hundred terms, in another order
        torch.testing.assert_close(unit.y, y[:, j].detach().flatten(), **close)
        torch.testing.assert_close(unit.g, g, **close)
        assert unit.curvature_v == pytest.approx((v @ hessian @ v).item(), rel=1e-8, abs=1e-14)
        assert unit.curvature_g == pytest.approx((g @ hessian @ g).item(), rel=1e-8, abs=1e-14)
        assert unit.scale_v == pytest.approx(((hessian @ v).norm() * v.norm()).item(), rel=1e-8)
        assert unit.weight_gradient_v == pytest.approx((patches.T @ v).norm().item(), rel=1e-8)
        assert unit.weight_gradient_g == pytest.approx((patches.T @ g).norm().item(), rel=1e-8)
        assert unit.bias_gradient_g == pytest.approx(g.sum().item(), rel=1e-8, abs=1e-13)
        assert unit.gamma == network.features.get_submodule(norm).weight[j].item()


def test_v_is_the_networks_own_gradient_up_to_eps(network, batch):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-14  # torch refuses 0
    kept = {}
    handle = network.features.conv1.register_forward_hook(lambda m, i, out: kept.update(y=out))
    loss = functional.cross_entropy(network(batch[0]), batch[1])
    handle.remove()
    expected = torch.autograd.grad(loss, kept["y"])[0]
    for unit in measure_units(network, batch, {"features.norm1": [0, 1]}, PRODUCERS):
        # BatchNorm's own backward pass against Fact C.1
        torch.testing.assert_close(unit.result.v, expected[:, unit.unit].flatten(), rtol=1e-9, atol=1e-13)


def test_units_that_the_statements_do_not_cover(network, batch):
    with torch.no_grad():
        network.features.norm1.weight[0] = 0.0
        network.features.conv1.weight[1] = 0.0
        network.features.norm2.weight[0] = float("nan")
    measured = list(measure_units(network, batch, {"features.norm1": [0, 1], "features.norm2": [0]}, PRODUCERS))
    assert [unit.result for unit in measured] == [None, None, None]


def test_layers_are_evenly_spaced():
    many = [f"norm{index}" for index in range(1, 14)]
    assert evenly_spaced(many[:2]) == ["norm1", "norm2"]
    assert evenly_spaced(many[:2], 1) == ["norm1"]
    assert evenly_spaced(many[:2], 9) == ["norm1", "norm2"]
    assert evenly_spaced(many, 3) == ["norm1", "norm7", "norm13"]
