"""`normalizer`: every kind, its options and refusals, against loops over single values."""

import inspect
import math

import pytest
import torch
from torch import Tensor, nn

from normlab.nn import normalizer
from normlab.nn.normalizers.noise import Noise
from normlab.nn.power_mean import PowerMeanNorm
from normlab.nn.registry import load
from normlab.specs.parts import names

KINDS = names("normalizer")
DETACHED = ("batch_detached", "batch_detached_mean", "batch_detached_variance")
# the forward pass of these is BatchNorm's, of the frozen one its first
AS_BATCH = ("batch", "noisy_batch", *DETACHED, "batch_frozen")
COUPLED = (*AS_BATCH, "batch_mean_only", "l1", "l2", "linf")
QUIET = {"mean_range": 0, "scale_range": 1, "mean_jitter": 0, "scale_jitter": 0}
# both sides sum the same few dozen float64 numbers in another order
EXACT = {"rtol": 1e-12, "atol": 1e-13}


def make_input(dims: int, channels: int = 4, samples: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (samples, channels, *(3, 2)[:dims])
    return 1.5 * torch.randn(shape, dtype=torch.float64, generator=generator) + 0.7


def make_affine(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(4)
    for parameter in module.parameters():
        parameter.data = torch.rand(parameter.shape, dtype=torch.float64, generator=generator) + 0.5
    return module.double()


def cells(kind: str, shape: torch.Size, groups: int) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """The index tuples that share one center and scale, by loops."""
    found: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for index in (tuple(i) for i in torch.ones(shape).nonzero().tolist()):
        sample, channel = index[:2]
        key = {
            "layer": (sample,),
            "group": (sample, channel // (shape[1] // groups)),
            "instance": (sample, channel),
        }.get(kind, (channel,))
        found.setdefault(key, []).append(index)
    return found


def slow_normalize(kind: str, x: Tensor, module: nn.Module, eps: float, groups: int = 1) -> Tensor:
    z = torch.empty_like(x)
    weight, bias = module.weight, module.bias
    for members in cells(kind, x.shape, groups).values():
        values = [x[i].item() for i in members]
        mean = sum(values) / len(values)
        if kind == "l1":
            scale = sum(abs(v) for v in values) / len(values) + eps
        elif kind == "l2":
            scale = math.sqrt(sum(v * v for v in values) / len(values) + eps)
        elif kind == "linf":
            scale = max(abs(v) for v in values) + eps
        elif kind == "batch_mean_only":
            scale = 1.0
        else:
            scale = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + eps)
        for i, value in zip(members, values, strict=True):
            gamma = 1.0 if weight is None else weight[i[1]].item()
            beta = 0.0 if bias is None else bias[i[1]].item()
            z[i] = gamma * (value - mean) / scale + beta
    return z


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("kind", "dims"),
    [(k, d) for k in (*COUPLED, "layer", "group") for d in (0, 2)] + [("instance", 2)],
)
def test_training_output_matches_loops(kind, dims, affine):
    options = {"groups": 2} if kind == "group" else QUIET if kind == "noisy_batch" else {}
    module = make_affine(normalizer(kind, 4, dims=dims, eps=0.03, affine=affine, **options))
    x = make_input(dims)
    z = module(x)
    assert z.dtype == torch.float64
    torch.testing.assert_close(z, slow_normalize(kind, x, module, 0.03, groups=2), **EXACT)


@pytest.mark.parametrize("dims", [0, 2])
def test_none_is_the_identity(dims):
    x = make_input(dims)
    assert normalizer("none", 4, dims=dims)(x) is x


def test_batch_is_torch_batch_norm():
    assert type(normalizer("batch", 4)) is nn.BatchNorm2d
    assert type(normalizer("batch", 4, dims=0)) is nn.BatchNorm1d
    module = normalizer("batch", 4, eps=1e-3, momentum=0.4, affine=False)
    assert (module.eps, module.momentum, module.affine) == (1e-3, 0.4, False)


@pytest.mark.parametrize("kind", KINDS)
def test_defaults(kind):
    module = normalizer(kind, 4)
    assert getattr(module, "eps", 1e-5) == 1e-5
    assert getattr(module, "momentum", 0.1) == 0.1
    if kind not in ("none", "noise"):
        torch.testing.assert_close(module.weight.detach(), torch.ones(4), rtol=0, atol=0)
        torch.testing.assert_close(module.bias.detach(), torch.zeros(4), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_called_without_the_door_every_kind_has_its_defaults(kind):
    noise = {"mean_range": 0.5, "scale_range": 1.25, "mean_jitter": 0.1, "scale_jitter": 0.1}
    documented = {"dims": 2, "affine": True, "eps": 1e-5, "momentum": 0.1, "groups": None, **noise}
    settings = inspect.signature(load(kind, "normalizer")).parameters.values()
    found = {each.name: each.default for each in settings if each.name != "channels"}
    assert found == {name: documented[name] for name in found}


@pytest.mark.parametrize("kind", KINDS)
def test_common_options_are_accepted_by_every_kind(kind):
    module = normalizer(kind, 4, affine=False, eps=1e-3, momentum=None)
    assert not list(module.parameters())


@pytest.mark.parametrize(
    ("channels", "groups"), [(1, 1), (10, 10), (32, 32), (33, 11), (37, 1), (48, 24), (64, 32), (96, 32), (100, 25)]
)
def test_default_groups(channels, groups):
    assert normalizer("group", channels).num_groups == groups
    assert max(g for g in range(1, 33) if channels % g == 0) == groups


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in COUPLED])
def test_only_batch_coupled_kinds_say_so(kind):
    assert not getattr(normalizer(kind, 4), "batch_coupled", False)


@pytest.mark.parametrize("dims", [0, 2])
@pytest.mark.parametrize("kind", COUPLED)
def test_one_value_per_channel_is_refused_in_training_only(kind, dims):
    module = normalizer(kind, 4, dims=dims)
    x = torch.randn(1, 4, *(1,) * dims)
    with pytest.raises(ValueError, match=r"more than (1|one) value per channel"):
        module(x)
    assert torch.isfinite(module.eval()(x)).all()
    assert isinstance(module, nn.modules.batchnorm._BatchNorm) or module.batch_coupled


@pytest.mark.parametrize("dims", [0, 2])
@pytest.mark.parametrize("kind", [k for k in COUPLED if k != "batch"])
def test_coupled_kinds_of_ours_are_marked_and_check_the_shape(kind, dims):
    module = normalizer(kind, 4, dims=dims)
    assert module.batch_coupled is True
    for shape in ((3, 5, *(2, 2)[:dims]), (3, 4, 2)):
        with pytest.raises(ValueError, match=r"expected an input of shape \(N, 4"):
            module(torch.randn(shape))


@pytest.mark.parametrize("kind", ["l1", "l2", "linf"])
@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("dims", [0, 2])
def test_running_statistics_follow_batch_norm(kind, momentum, dims):
    module = normalizer(kind, 4, dims=dims, momentum=momentum, eps=0.02).double()
    twin = normalizer("batch", 4, dims=dims, momentum=momentum).double()
    scale = torch.ones(4, dtype=torch.float64)
    for count in range(1, 4):
        x = make_input(dims) * count
        module(x)
        twin(x)
        flat = x.transpose(0, 1).reshape(4, -1).abs()
        batch = {"l1": flat.mean(1), "l2": (flat**2).mean(1).sqrt(), "linf": flat.max(1).values}[kind]
        weight = 1 / count if momentum is None else momentum
        scale = (1 - weight) * scale + weight * batch
    torch.testing.assert_close(module.running_mean, twin.running_mean, **EXACT)
    torch.testing.assert_close(module.running_scale, scale, **EXACT)
    assert module.num_batches_tracked == twin.num_batches_tracked == 3
    x = make_input(dims)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    z = module.eval()(x)
    shape = (1, 4) + (1,) * dims
    denominator = (scale**2 + 0.02).sqrt() if kind == "l2" else scale + 0.02
    torch.testing.assert_close(
        z, (x - module.running_mean.view(shape)) / denominator.view(shape), rtol=1e-12, atol=1e-13
    )
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("kind", ["l1", "l2", "linf"])
def test_with_momentum_one_eval_repeats_the_training_output(kind):
    module = normalizer(kind, 4, momentum=1.0).double()
    x = make_input(2)
    torch.testing.assert_close(module.train()(x), module.eval()(x), **EXACT)


@pytest.mark.parametrize("kind", [*COUPLED, "layer", "group", "instance"])
def test_gradients_are_finite_on_zero_channels_and_ties(kind):
    module = normalizer(kind, 4).double()
    x = make_input(2)
    x[:, 1] = 0.0
    x[:, 2] = x[:, 2].sign()  # every |y| ties for the maximum
    x.requires_grad_(True)
    first = torch.autograd.grad(module(x).sin().sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(first.square().sum(), x)[0]
    assert torch.isfinite(first).all()
    assert torch.isfinite(second).all()


@pytest.mark.parametrize("kind", ["l1", "l2", "linf"])
def test_gradients_match_finite_differences(kind):
    module = make_affine(normalizer(kind, 3, dims=0, eps=1e-3))
    x = make_input(0, channels=3).requires_grad_(True)
    assert torch.autograd.gradcheck(module, x)
    assert torch.autograd.gradgradcheck(module, x)


def test_l2_equals_batch_on_centered_input():
    x = make_input(2)
    x = x - x.mean((0, 2, 3), keepdim=True)
    torch.testing.assert_close(normalizer("l2", 4).double()(x), normalizer("batch", 4).double()(x), **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_making_a_normalizer_draws_nothing(kind):
    before = torch.get_rng_state()
    normalizer(kind, 4)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            ("bacth", 4),
            {},
            ValueError,
            ", ".join(KINDS),
        ),
        (("batch", 0), {}, ValueError, "channels: .* at least 1, got 0"),
        (("batch", 4), {"dims": 1}, ValueError, "dims: .* got 1"),
        (("instance", 4), {"dims": 0}, ValueError, "instance: needs pixels"),
        (("batch", 4), {"groups": 2}, TypeError, "unknown option 'groups'; accepted: affine, eps, momentum"),
        (("l1", 4), {"mean_range": 2}, TypeError, "unknown option 'mean_range'"),
        (("group", 4), {"groups": 3}, ValueError, "groups: expected a divisor of the 4 channels, got 3"),
        (("group", 4), {"groups": 0}, ValueError, "groups: .* got 0"),
        (("l2", 4), {"eps": -1.0}, ValueError, "eps: .* got -1.0"),
        (("l1", 4), {"eps": "x"}, ValueError, "eps: expected a finite number of at least 0, got 'x'"),
        (("batch", 4), {"eps": None}, ValueError, "eps: .* got None"),
        (("batch", 4), {"eps": True}, ValueError, "eps: .* got True"),
        (("layer", 4), {"momentum": "x"}, ValueError, "momentum: expected a number from 0 to 1, or None, got 'x'"),
        (("l2", 4), {"momentum": 1.5}, ValueError, "momentum: .* got 1.5"),
        (("noise", 4), {"scale_range": 0.5}, ValueError, "scale_range: .* at least 1, got 0.5"),
        (("noisy_batch", 4), {"mean_jitter": -0.1}, ValueError, "mean_jitter: .* at least 0, got -0.1"),
    ],
)
def test_bad_arguments_name_what_is_accepted(arguments, options, error, message):
    with pytest.raises(error, match=message):
        normalizer(*arguments, **options)


def test_what_the_power_means_share_is_no_normalizer_by_itself():
    with pytest.raises(TypeError, match="abstract"):
        PowerMeanNorm(3)  # type: ignore[abstract]


def test_settings_are_printed():
    assert "linf, 4, eps=0.001" in repr(normalizer("linf", 4, eps=1e-3))
    assert "mean_range=0.25" in repr(Noise(4, mean_range=0.25))
