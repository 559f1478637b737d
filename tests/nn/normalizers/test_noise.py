"""The noise block: its distributions, what it shares, and when it is off (case 14)."""

import pytest
import torch

from normlab.nn import normalizer
from normlab.nn.normalizers.noise import Noise, noise
from normlab.nn.normalizers.noisy_batch import NoisyBatchNorm1d, NoisyBatchNorm2d

QUIET = {"mean_range": 0, "scale_range": 1, "mean_jitter": 0, "scale_jitter": 0}


def draw(module: Noise, shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(shift m, scale s) of one forward pass, read off at inputs 0 and 1 with the same draws."""
    torch.manual_seed(seed)
    shift = module(torch.zeros(shape, dtype=torch.float64))
    torch.manual_seed(seed)
    return shift, module(torch.ones(shape, dtype=torch.float64)) - shift


def test_case_14_shift_and_scale_have_the_stated_distributions():
    channels, samples = 400, 2000
    shift, scale = draw(Noise(channels, dims=0), (samples, channels))
    mu, sg = shift.mean(0), scale.mean(0)
    # U(-.5, .5) over 400 channels: the largest of 400 draws is within 0.03 of the end but for odds of e-12; the
    # mean over 2000 samples is known to .0013 (m) and .0022 (s), of which 5 sigma are allowed for
    assert -0.507 < mu.min() < -0.47
    assert 0.47 < mu.max() < 0.507
    assert 0.988 < sg.min() < 1.02
    assert 1.23 < sg.max() < 1.262
    # means of 400 uniforms: standard errors .0144 and .0036
    assert abs(mu.mean()) < 0.06
    assert abs(sg.mean() - 1.125) < 0.015
    assert mu.std().item() == pytest.approx(1 / 12**0.5, rel=0.1)
    assert sg.std().item() == pytest.approx(0.25 / 12**0.5, rel=0.1)
    # uniform jitter of half width .1: bounded, spread .2/sqrt(12); normal jitter of standard deviation .1: not bounded
    residual = shift - mu
    assert residual.abs().max() < 0.1 + 0.007
    assert residual.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.01)
    residual = scale - sg
    assert residual.std().item() == pytest.approx(0.1, rel=0.01)
    assert residual.abs().max() > 0.35
    kurtosis = (residual**4).mean() / (residual**2).mean() ** 2
    assert kurtosis.item() == pytest.approx(3.0, abs=0.05)  # of 800,000 normals: standard error .005; a uniform has 1.8


def test_case_14_pixels_have_their_own_jitter_and_channels_their_own_range():
    shift, scale = draw(Noise(3), (5, 3, 4, 4))
    for drawn in (shift, scale):
        assert drawn.unique().numel() == drawn.numel()
    quiet = Noise(3, mean_jitter=0, scale_jitter=0)
    for drawn in draw(quiet, (5, 3, 4, 4)):
        # reading the scale as a difference leaves a rounding of one unit in the last place
        assert (drawn - drawn[:1, :, :1, :1]).abs().max() < 1e-15
        assert drawn[0, :, 0, 0].unique().numel() == 3


def test_case_14_every_forward_redraws_from_the_global_generator():
    module, x = Noise(3), torch.ones(4, 3, 2, 2)
    torch.manual_seed(1)
    first, second = module(x), module(x)
    torch.manual_seed(1)
    assert torch.equal(module(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dims", [0, 2])
def test_eval_mode_and_zero_settings_return_the_input_and_draw_nothing(dims):
    x = torch.randn(4, 3, *(2, 2)[:dims])
    before = torch.get_rng_state()
    assert torch.equal(Noise(3, dims=dims).eval()(x), x)
    assert torch.equal(Noise(3, dims=dims, **QUIET)(x), x)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("dims", "cls"), [(0, NoisyBatchNorm1d), (2, NoisyBatchNorm2d)])
def test_noisy_batch_is_batch_then_noise(dims, cls):
    noisy, plain = normalizer("noisy_batch", 3, dims=dims).double(), normalizer("batch", 3, dims=dims).double()
    assert type(noisy) is cls
    assert noisy.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(6, 3, *(2, 2)[:dims], dtype=torch.float64)
    torch.manual_seed(2)
    shifted = noisy(x)
    torch.manual_seed(2)
    assert torch.equal(shifted, Noise(3, dims=dims)(plain(x)))
    assert not torch.equal(shifted, plain(x))
    plain.load_state_dict(noisy.state_dict())
    assert torch.equal(noisy.eval()(x), plain.eval()(x))  # no noise in eval mode


@pytest.mark.parametrize("dims", [0, 2])
def test_noisy_batch_without_noise_equals_batch(dims):
    noisy, plain = normalizer("noisy_batch", 3, dims=dims, **QUIET), normalizer("batch", 3, dims=dims)
    x = torch.randn(6, 3, *(2, 2)[:dims])
    assert torch.equal(noisy(x), plain(x))
    assert torch.equal(noisy.running_var, plain.running_var)


def test_gradient_passes_through_the_scale():
    module = Noise(3, dims=0)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    gradient = torch.autograd.grad(module(x).sum(), x)[0]
    # the scale itself, read off as a difference of outputs of size 1
    torch.testing.assert_close(gradient, draw(module, (4, 3))[1], rtol=1e-13, atol=1e-14)


def test_the_memory_format_changes_neither_the_draws_nor_itself() -> None:
    """Channels-last training and a contiguous probe of the same step see the same noise."""
    noise, x = normalizer("noise", 4), torch.randn(3, 4, 5, 5, dtype=torch.float64)
    torch.manual_seed(0)
    plain = noise(x)
    torch.manual_seed(0)
    last = noise(x.contiguous(memory_format=torch.channels_last))
    assert torch.equal(plain, last)
    assert last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("make", [Noise, noise])
def test_settings_have_their_names(make) -> None:
    with pytest.raises(TypeError, match="positional"):
        make(4, 2)
    assert make(4, dims=1).channels == 4
