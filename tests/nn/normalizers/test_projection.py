"""BatchNorm with parts of its backward pass left out, frozen or halved, against loops over single values."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from normlab.nn import normalizer
from normlab.specs.training import RunSpec, TrainSpec

# a and b of `build_detached`: which parts of BatchNorm's projection are left
KEPT = {
    "batch": (1, 1),
    "batch_detached_mean": (0, 1),
    "batch_detached_variance": (1, 0),
    "batch_detached": (0, 0),
}
# both sides sum the same few dozen float64 numbers in another order
EXACT = {"rtol": 1e-11, "atol": 1e-13}


def make(kind: str, dims: int, **options: object) -> nn.Module:
    module = normalizer(kind, 3, dims=dims, eps=0.03, **options).double()
    draws = torch.Generator().manual_seed(5)
    for parameter in module.parameters():
        parameter.data = torch.rand(parameter.shape, dtype=torch.float64, generator=draws) + 0.5
    return module


def make_pair(dims: int) -> tuple[Tensor, Tensor]:
    """An input and the gradient of a loss at the output."""
    draws = torch.Generator().manual_seed(6)
    shape = (5, 3, *(3, 2)[:dims])
    y, g = (torch.randn(shape, dtype=torch.float64, generator=draws) for _ in range(2))
    return 2 * y + 1.3, g + 0.4


def slow_backward(kind: str, module: nn.Module, y: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """v, ∂L/∂γ and ∂L/∂β by the sums of the definition."""
    v, d_weight, d_bias = torch.empty_like(y), torch.empty(3).double(), torch.empty(3).double()
    for channel in range(3):
        places = [(i, channel, *rest) for i, *rest in itertools.product(*map(range, (y.shape[0], *y.shape[2:])))]
        values, slopes = [y[p].item() for p in places], [g[p].item() for p in places]
        count, gamma = len(places), module.weight[channel].item()
        mean = sum(values) / count
        sigma = math.sqrt(sum((value - mean) ** 2 for value in values) / count + 0.03)
        hats = [(value - mean) / sigma for value in values]
        deltas = [gamma * slope for slope in slopes]
        mean_delta = sum(deltas) / count
        along = sum(d * h for d, h in zip(deltas, hats, strict=True)) / count
        a, b = KEPT[kind]
        for place, delta, hat in zip(places, deltas, hats, strict=True):
            v[place] = (delta - a * mean_delta - b * hat * along) / sigma
        d_weight[channel] = sum(s * h for s, h in zip(slopes, hats, strict=True))
        d_bias[channel] = sum(slopes)
    return v, d_weight, d_bias


def backward(module: nn.Module, y: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    y = y.clone().requires_grad_()
    return torch.autograd.grad(module(y), (y, module.weight, module.bias), g)


@pytest.mark.parametrize("dims", [0, 2])
@pytest.mark.parametrize("kind", KEPT)
def test_backward_is_the_projection_that_is_left(kind: str, dims: int) -> None:
    module, (y, g) = make(kind, dims), make_pair(dims)
    for found, expected in zip(backward(module, y, g), slow_backward(kind, module, y, g), strict=True):
        torch.testing.assert_close(found, expected, **EXACT)


def test_the_four_backward_passes_differ() -> None:
    y, g = make_pair(2)
    passes = [backward(make(kind, 2), y, g)[0] for kind in KEPT]
    for first, second in itertools.combinations(passes, 2):
        assert (first - second).abs().max() > 0.01


@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", [kind for kind in KEPT if kind != "batch"])
def test_forward_state_and_eval_mode_are_those_of_torch(kind: str, affine: bool, momentum: float | None) -> None:
    module, twin = (make(name, 2, affine=affine, momentum=momentum) for name in (kind, "batch"))
    assert module.state_dict().keys() == twin.state_dict().keys()
    for count in (1, 2, 3):
        y = make_pair(2)[0] * count
        torch.testing.assert_close(module(y), twin(y), **EXACT)
    for found, expected in zip(module.state_dict().values(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, **EXACT)
    torch.testing.assert_close(module.eval()(y), twin.eval()(y), **EXACT)


@pytest.mark.parametrize("kind", [kind for kind in KEPT if kind != "batch"])
def test_what_is_detached_is_constant_in_the_second_derivative_too(kind: str) -> None:
    module, (y, _) = make(kind, 0), make_pair(0)
    a, b = KEPT[kind]
    mean, variance = y.mean(0), y.var(0, correction=0)

    def constant(x: Tensor) -> Tensor:
        """The same function of x, with the detached statistics as numbers."""
        center = x.mean(0) if a else mean
        spread = x.var(0, correction=0) if b else variance
        return ((x - center) / (spread + 0.03).sqrt() * module.weight + module.bias).sin().sum()

    found = torch.autograd.functional.hessian(lambda x: module(x).sin().sum(), y)
    torch.testing.assert_close(found, torch.autograd.functional.hessian(constant, y), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dims", [0, 2])
def test_frozen_statistics_are_those_of_the_first_training_batch(dims: int) -> None:
    module, twin, (y, g) = make("batch_frozen", dims), make("batch", dims), make_pair(dims)
    before = module.eval()(y)  # torch's BatchNorm before its first batch: mean 0, variance 1
    torch.testing.assert_close(before, twin.eval()(y), **EXACT)
    torch.testing.assert_close(module.train()(y), twin.train()(y), **EXACT)
    axes = (0, *range(2, y.dim()))
    mean, sigma = y.mean(axes, keepdim=True), (y.var(axes, correction=0, keepdim=True) + 0.03).sqrt()
    per_channel = (1, 3) + (1,) * dims
    gamma, beta = module.weight.view(per_channel), module.bias.view(per_channel)
    later = 3 * y - 5
    for mode in (True, False):
        torch.testing.assert_close(module.train(mode)(later), gamma * (later - mean) / sigma + beta, **EXACT)
        torch.testing.assert_close(backward(module, later, g)[0], gamma * g / sigma, **EXACT)
    assert module.num_batches_tracked == 1


def test_mean_only_removes_the_mean_and_its_gradient() -> None:
    module, (y, g) = make("batch_mean_only", 2), make_pair(2)
    axes = (0, 2, 3)
    delta = g * module.weight.view(1, 3, 1, 1)
    v, d_weight, d_bias = backward(module, y, g)
    torch.testing.assert_close(v, delta - delta.mean(axes, keepdim=True), **EXACT)
    torch.testing.assert_close(d_weight, ((y - y.mean(axes, keepdim=True)) * g).sum(axes), **EXACT)
    torch.testing.assert_close(d_bias, g.sum(axes), **EXACT)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_mean_only_keeps_the_running_mean_of_batch_norm(momentum: float | None) -> None:
    module, twin = (make(kind, 0, momentum=momentum) for kind in ("batch_mean_only", "batch"))
    for count in (1, 2, 3):
        y = make_pair(0)[0] * count
        module(y)
        twin(y)
    torch.testing.assert_close(module.running_mean, twin.running_mean, **EXACT)
    expected = (y - twin.running_mean) * module.weight + module.bias
    torch.testing.assert_close(module.eval()(y), expected, **EXACT)


def test_in_float32_the_forward_pass_is_as_near_as_rounding_allows() -> None:
    y = make_pair(2)[0].float()
    for kind in KEPT:
        expected = make("batch", 2)(y.double())
        # a few roundings of values up to 4 with a mean of the size of the deviation
        torch.testing.assert_close(make(kind, 2).float()(y).double(), expected, rtol=0, atol=1e-5)


def test_a_network_with_them_starts_at_the_loss_of_batch_norm() -> None:
    from normlab.runs.networks import build_network

    train = TrainSpec(width=0.125, batch_size=8, steps=1, test_every=1, checkpoint_every=1)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    outputs = {}
    for kind in (*KEPT, "batch_frozen"):
        model = build_network(RunSpec("vgg11", kind, 0.1, 0, train), 10).train().double()
        outputs[kind] = model(images.double())
    for found in outputs.values():
        torch.testing.assert_close(found, outputs["batch"], rtol=1e-9, atol=1e-9)
