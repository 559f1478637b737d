"""Facts C.1 and equations 41, 42 against automatic differentiation through an explicit normalization."""

import math

import pytest
import torch
from torch import Tensor

from normlab.theory import (
    lemma_4_5,
    normalized_gradient,
    normalized_hessian,
    observation_4_3,
    theorem_4_1,
    theorem_4_2,
    theorem_4_4,
    theorem_c_1,
)


def normalize(y: Tensor, gamma: float, beta: float) -> Tensor:
    """z = gamma (y - mean)/sqrt(variance) + beta, written out, without eps."""
    centered = y - y.sum() / len(y)
    return gamma * centered / (centered.square().sum() / len(y)).sqrt() + beta


def loss(z: Tensor) -> Tensor:
    """A loss with a full, indefinite Hessian."""
    turned = torch.roll(z, 1)
    return (z.sin() * turned.exp().clamp(max=20)).sum() + 0.1 * z.pow(4).mean() + 0.3 * z.sum() ** 2


@pytest.fixture(params=[(2, 0.7), (5, 1.3), (16, -0.4)], ids=["m2", "m5", "m16-negative-gamma"])
def unit(request):
    m, gamma = request.param
    y = 1.4 * torch.randn(m, dtype=torch.float64, generator=torch.Generator().manual_seed(m)) + 0.8
    z = normalize(y, gamma, 0.3).detach().requires_grad_(True)
    g = torch.autograd.grad(loss(z), z)[0]
    return y, g, torch.autograd.functional.hessian(loss, z.detach()), gamma


def test_fact_c_1_against_autograd(unit):
    y, g, _, gamma = unit
    y.requires_grad_(True)
    expected = torch.autograd.grad(loss(normalize(y, gamma, 0.3)), y)[0]
    # a dozen float64 operations on numbers of size 1 to 100
    torch.testing.assert_close(normalized_gradient(y.detach(), g, gamma), expected, rtol=1e-11, atol=1e-11)


def test_equations_41_and_42_against_autograd(unit):
    y, g, hessian, gamma = unit
    expected = torch.autograd.functional.hessian(lambda y: loss(normalize(y, gamma, 0.3)), y)
    # second derivatives of the same expressions, entries up to 1e3
    torch.testing.assert_close(normalized_hessian(y, g, hessian, gamma), expected, rtol=1e-10, atol=1e-9)


def test_gradient_against_central_differences(unit):
    y, g, _, gamma = unit
    step = 1e-6
    expected = torch.stack(
        [
            (loss(normalize(y + step * e, gamma, 0.3)) - loss(normalize(y - step * e, gamma, 0.3))) / (2 * step)
            for e in torch.eye(len(y), dtype=torch.float64)
        ]
    )
    # truncation about step^2 times third derivatives, rounding about 1e-16 / step times losses up to 1e2
    torch.testing.assert_close(normalized_gradient(y, g, gamma), expected, rtol=1e-6, atol=1e-6)


def test_outputs_far_from_zero_keep_their_digits():
    generator = torch.Generator().manual_seed(1)
    y, g = (torch.randn(64, dtype=torch.float64, generator=generator) for _ in range(2))
    # y + 1e6 keeps ten digits of y
    torch.testing.assert_close(
        normalized_gradient(y + 1e6, g, 1.0), normalized_gradient(y, g, 1.0), rtol=1e-8, atol=1e-8
    )


def test_a_mean_between_two_numbers_of_float64_is_taken_out_whole():
    """2^44 + 4/3 lies between two multiples of 1/256; the outputs themselves are exact."""
    near = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    g = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    far = normalized_gradient(near + 2.0**44, g, 1.0)
    # a few roundings of numbers of size 1
    torch.testing.assert_close(far, normalized_gradient(near, g, 1.0), rtol=1e-14, atol=1e-15)


Y, G, H = (torch.randn(shape, dtype=torch.float64) for shape in ((4,), (4,), (4, 4)))
X, W = torch.randn(4, 2, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
CALLS = {
    "theorem_4_1": lambda y=Y, g=G, gamma=1.0: theorem_4_1(y, g, gamma),
    "theorem_4_2": lambda y=Y, g=G, gamma=1.0: theorem_4_2(y, g, H, gamma),
    "theorem_4_4": lambda y=Y, g=G, gamma=1.0: theorem_4_4(y, g, gamma, 1.0),
    "theorem_c_1": lambda y=Y, g=G, gamma=1.0: theorem_c_1(y, g, H, gamma, 1.0),
    "normalized_gradient": lambda y=Y, g=G, gamma=1.0: normalized_gradient(y, g, gamma),
    "normalized_hessian": lambda y=Y, g=G, gamma=1.0: normalized_hessian(y, g, H, gamma),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": Y.float()}, TypeError, "y: expected a float64 tensor, got torch.float32"),
        ({"g": G.float()}, TypeError, "g: expected a float64 tensor, got torch.float32"),
        ({"y": [1.0, 2.0]}, TypeError, "y: expected a float64 tensor, got list"),
        ({"y": Y[:, None]}, ValueError, r"y: expected a vector \(one axis\), got shape \(4, 1\)"),
        ({"g": G[:3]}, ValueError, r"g: expected the shape of y, \(4,\), got \(3,\)"),
        ({"y": Y[:1], "g": G[:1]}, ValueError, "y: expected at least 2 samples, got 1"),
        ({"y": torch.full((4,), 0.1, dtype=torch.float64)}, ValueError, r"sigma > 0"),
        ({"y": torch.zeros(4, dtype=torch.float64)}, ValueError, r"sigma > 0"),
        ({"y": Y / 0.0}, ValueError, "y: expected finite values"),
        ({"gamma": 0.0}, ValueError, "gamma: expected a number other than 0"),
        ({"gamma": float("nan")}, ValueError, "gamma: expected a finite number, got nan"),
        ({"gamma": "one"}, TypeError, "gamma: expected a number, got 'one'"),
        ({"gamma": None}, TypeError, "gamma: expected a number, got None"),
        ({"gamma": torch.ones(2)}, TypeError, r"gamma: expected a number, got tensor\(\[1., 1.\]\)"),
        ({"gamma": torch.tensor(1 + 1j)}, TypeError, r"gamma: expected a number, got tensor\(1.\+1.j\)"),
        ({"g": G / 0.0}, ValueError, "g: expected finite values, got inf or NaN"),
        ({"g": G[:, None]}, ValueError, r"g: expected a vector \(one axis\), got shape \(4, 1\)"),
    ],
)
def test_bad_arguments(name, change, error, message):
    with pytest.raises(error, match=message):
        CALLS[name](**change)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: theorem_4_2(Y, G, H[:3], 1.0), ValueError, r"hessian: expected shape \(4, 4\), got \(3, 4\)"),
        (lambda: theorem_4_2(Y, G, H.float(), 1.0), TypeError, "hessian: expected a float64 tensor"),
        (lambda: theorem_4_2(Y, G, H / 0.0, 1.0), ValueError, "hessian: expected finite values"),
        (lambda: normalized_hessian(Y, G, H[:3], 1.0), ValueError, r"hessian: expected shape \(4, 4\), got \(3, 4\)"),
        (lambda: theorem_c_1(Y, G, H, 1.0, 0.0), ValueError, r"lam: expected a number above 0, got 0$"),
        (lambda: theorem_4_4(Y, G, 1.0, -2.0), ValueError, r"lam: expected a number above 0, got -2$"),
        (lambda: theorem_4_4(Y, G, 1.0, math.inf), ValueError, "lam: expected a finite number, got inf"),
        (lambda: observation_4_3(X, Y, G), ValueError, r"X: expected shape \(m, 4\) to fit w, got \(4, 2\)"),
        (lambda: observation_4_3(X.float(), W, G), TypeError, "X: expected a float64 tensor"),
        (lambda: observation_4_3(X[0], W, G), ValueError, r"X: expected shape \(m, 2\) to fit w, got \(2,\)"),
        (
            lambda: observation_4_3(X, W[:, None], G),
            ValueError,
            r"w: expected a vector \(one axis\)",
        ),
        (lambda: observation_4_3(X, W, G[:3]), ValueError, "g: expected the shape of y"),
        (lambda: observation_4_3(X, 0 * W, G), ValueError, "sigma > 0"),
        (lambda: lemma_4_5(W, Y), ValueError, r"w_star: expected the shape of w0, \(2,\), got \(4,\)"),
        (lambda: lemma_4_5(W, 0 * W), ValueError, "w_star: expected weights other than 0"),
        (lambda: lemma_4_5(W, W.float()), TypeError, "w_star: expected a float64 tensor"),
        (lambda: lemma_4_5(W.float(), W), TypeError, "w0: expected a float64 tensor"),
    ],
)
def test_bad_further_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("size", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize(("spacings", "accepted"), [(0, False), (40, False), (180, True)])
def test_outputs_differ_from_a_hundred_trillionth_of_their_size_on(size, spacings, accepted):
    """Two outputs so many spacings of float64 (2.2e-16) above the two others: sigma is half of that."""
    y = size * torch.tensor([1.0, 1.0, 1 + spacings * 2.0**-52, 1 + spacings * 2.0**-52], dtype=torch.float64)
    if not accepted:
        with pytest.raises(ValueError, match=r"^y: expected outputs that differ \(sigma > 0\), got 4 equal values$"):
            theorem_4_1(y, G, 1.0)
        return
    assert theorem_4_1(y, G, 1.0).sigma == pytest.approx(size * spacings * 2.0**-53, rel=0.05)  # of a few spacings


def test_of_two_samples_there_is_a_unit_and_no_gradient():
    found = theorem_4_1(Y[:2], G[:2], -1.5)
    assert found.v.tolist() == pytest.approx([0.0, 0.0], abs=1e-14)
    assert found.sigma == pytest.approx(abs(Y[0] - Y[1]).item() / 2, rel=1e-14)


def test_results_are_frozen_and_detached():
    y = Y.clone().requires_grad_(True)
    result = theorem_4_1(y, G, torch.tensor(1.0, dtype=torch.float64))
    assert not result.v.requires_grad
    with pytest.raises(AttributeError):
        result.lhs = 0.0
