"""Layer by layer: the sizes that say how fast a layer moves, and what normalizers leave of the gradient."""

import math

import pytest
import torch
from torch import nn

from normlab.nn import normalizer
from normlab.runs.training import cross_entropy
from normlab.studies.checkpoints.layers import cosine_with_gradient, gradient_shares, layer_grad_norms, weight_sizes


def test_sizes_of_weights_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
        model[0].bias.fill_(100.0)
        model[2].weight.zero_()
    sizes = weight_sizes(model, 0.5)
    assert sizes == {
        "0": {"weight_norm": 5.0, "effective_rate": pytest.approx(0.02)},
        "2": {"weight_norm": 0.0, "effective_rate": math.inf},
    }


def test_lengths_of_gradients_are_over_weight_and_bias_of_layers_with_a_matrix() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1), nn.Sequential(nn.Conv1d(1, 1, 2)), nn.Linear(1, 1))
    assert layer_grad_norms(model) == {}  # nothing was computed yet
    model[0].weight.grad, model[0].bias.grad = torch.tensor([[2.0, -3.0]]), torch.tensor([6.0])
    model[1].weight.grad = torch.tensor([100.0])
    model[2][0].weight.grad = torch.tensor([[[3.0, 4.0]]])
    model[3].bias.grad = torch.tensor([1.0])  # its weights are frozen
    assert layer_grad_norms(model) == {"0": 7.0, "2.0": 5.0}


def _network(norm_layer: str) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    draws = torch.Generator().manual_seed(2)
    norm = normalizer(norm_layer, 3, eps=1e-13) if norm_layer != "none" else nn.Identity()
    model = nn.Sequential(nn.Conv2d(2, 3, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws, dtype=torch.float64))
        if norm_layer != "none":
            norm.bias.mul_(0.1)  # so that ReLU passes some of every channel
    return model, (torch.randn(6, 2, 4, 4, generator=draws).double(), torch.arange(6) % 4)


def _slow_shares(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, float]:
    """Channel by channel from the definitions, with tensors kept by hand."""
    y = model[0](batch[0])
    z = model[1](y)
    g = torch.autograd.grad(nn.functional.cross_entropy(model[2:](z), batch[1]), (y, z))
    found = []
    for channel in range(3):
        ys, zs, vs, gs = (t[:, channel].flatten().tolist() for t in (y, z, *g))
        m = len(ys)
        mean_y, mean_z = sum(ys) / m, sum(zs) / m
        var_y = sum((value - mean_y) ** 2 for value in ys) / m
        var_z = sum((value - mean_z) ** 2 for value in zs) / m
        square = sum(value**2 for value in gs)
        hats = [(value - mean_y) / math.sqrt(var_y) for value in ys]
        found.append(
            (
                sum(value**2 for value in vs) * var_y / (square * var_z),
                m * (sum(gs) / m) ** 2 / square,
                sum(a * b for a, b in zip(gs, hats, strict=True)) ** 2 / (m * square),
            )
        )
    return {name: sum(one[i] for one in found) / 3 for i, name in enumerate(("kept", "mean_part", "scale_part"))}


@pytest.mark.parametrize(
    ("norm_layer", "removed"),
    [
        ("batch", ["mean_part", "scale_part"]),
        ("batch_detached_mean", ["scale_part"]),
        ("batch_detached_variance", ["mean_part"]),
        ("batch_detached", []),
        ("batch_mean_only", ["mean_part"]),
        ("none", []),
        ("l1", None),
    ],
)
def test_shares_of_the_gradient(norm_layer: str, removed: list[str] | None) -> None:
    model, batch = _network(norm_layer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (found,) = gradient_shares(model, cross_entropy, batch, ["1"]).values()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # the same sums of 24 float64 numbers in another order
    assert found == pytest.approx(_slow_shares(model, batch), rel=1e-11)
    assert 0.001 < found["mean_part"] < 1
    assert 0.001 < found["scale_part"] < 1
    if removed is not None:
        assert found["kept"] == pytest.approx(1 - sum(found[part] for part in removed), rel=1e-11)


def test_a_channel_without_gradient_takes_no_part() -> None:
    model, batch = _network("batch_detached")
    with torch.no_grad():
        model[1].bias[0] = -1e3  # ReLU passes nothing of this channel
    (found,) = gradient_shares(model, cross_entropy, batch, ["1"]).values()
    assert found["kept"] == pytest.approx(1.0, rel=1e-12)
    with torch.no_grad():
        model[1].bias.fill_(-1e3)
    (found,) = gradient_shares(model, cross_entropy, batch, ["1"]).values()
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize("norm_layer", ["batch_detached", "batch_detached_variance"])
def test_what_training_follows_against_the_gradient_of_the_loss(norm_layer: str) -> None:
    model, batch = _network(norm_layer)
    twin, _ = _network("batch")
    sides = []
    for network in (model, twin):
        loss = cross_entropy(network, batch)
        gradient = torch.autograd.grad(loss, list(network.parameters()))
        sides.append([value for tensor in gradient for value in tensor.flatten().tolist()])
    dot = sum(a * b for a, b in zip(*sides, strict=True))
    norms = [math.sqrt(sum(value**2 for value in side)) for side in sides]
    found = cosine_with_gradient(model, cross_entropy, batch)
    assert found == pytest.approx({"cosine": dot / (norms[0] * norms[1]), "norm_ratio": norms[0] / norms[1]}, rel=1e-10)
    assert abs(found["cosine"]) < 0.999
    assert model[1].detached_statistics
    assert cosine_with_gradient(twin, cross_entropy, batch) is None
