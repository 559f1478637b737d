"""Theorems 4.2 and C.1: the equality, the missing conditions of part (b), the false maximization step."""

import math

import pytest
import torch
from torch import Tensor

from normlab.theory import theorem_4_2, theorem_c_1


def draw(m: int, seed: int, *, definite: bool = True) -> tuple[Tensor, Tensor, Tensor, float]:
    generator = torch.Generator().manual_seed(1000 * m + seed)
    y, g = torch.randn(2, m, dtype=torch.float64, generator=generator)
    root = torch.randn(m, m, dtype=torch.float64, generator=generator)
    hessian = root @ root.T / m if definite else root + root.T
    return 1.5 * y - 0.4, g, hessian, math.exp(torch.randn((), generator=generator).item())


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("m", [4, 16, 128])
def test_4_2_a_is_an_equality(m, definite):
    for seed in range(20):
        result = theorem_4_2(*draw(m, seed, definite=definite))
        assert result.holds_corrected
        assert result.holds_printed
        assert result.rhs_printed == result.rhs_corrected
        # products of m x m matrices; the two terms cancel by up to two digits in these cases
        assert result.lhs == pytest.approx(result.rhs_corrected, rel=1e-8, abs=1e-11)


def test_4_2_lhs_by_finite_differences_of_the_gradient():
    """v' Hhat v = d/dt <grad(y + t v), v> for the loss z -> g'z + z'Hz/2 around the unit's z."""
    y, g, hessian, gamma = draw(16, 3, definite=False)

    def normalize(y: Tensor) -> Tensor:
        return gamma * (y - y.mean()) / y.var(unbiased=False).sqrt()

    base = normalize(y)

    def gradient(y: Tensor) -> Tensor:
        y = y.detach().requires_grad_(True)
        z = normalize(y) - base
        return torch.autograd.grad(g @ z + 0.5 * z @ hessian @ z, y)[0]

    result = theorem_4_2(y, g, hessian, gamma)
    torch.testing.assert_close(result.v, gradient(y), rtol=1e-12, atol=1e-13)  # one backward pass
    v, step = result.v, 1e-5
    expected = ((gradient(y + step * v) - gradient(y - step * v)) @ v / (2 * step)).item()
    # truncation about step^2 |v|^3 times third derivatives
    assert result.lhs == pytest.approx(expected, rel=1e-6)


def test_4_2_b_follows_from_its_three_conditions():
    met = 0
    for seed in range(400):
        result = theorem_4_2(*draw(6, seed))
        met += result.part_b_assumptions
        assert result.part_b_holds or not result.part_b_assumptions
    assert met > 50  # the implication above was put to the test


def test_4_2_b_fails_under_the_rayleigh_condition_alone():
    failures = 0
    for seed in range(400):
        y, g, hessian, _ = draw(6, seed)
        result = theorem_4_2(y, g, hessian, 3.0 * y.std(unbiased=False).item())
        if result.assumptions["rayleigh_condition"] and not result.part_b_holds:
            failures += 1
            assert not result.assumptions["v_at_most_g"]
            assert not result.assumptions["gamma_at_most_sigma"]
    assert failures > 0


@pytest.mark.parametrize(
    ("lacks", "size", "along_yhat", "along_v"),
    [
        ("", 0.5, 1.0, 0.5),
        ("rayleigh_condition", 0.9, -1.5, 1.0),
        ("v_at_most_g", 3.0, 1.0, 1.0),
        ("curvature_g_nonnegative", 0.5, -1.0, -1.0),
    ],
)
def test_4_2_b_needs_each_of_its_three_conditions(lacks, size, along_yhat, along_v):
    """v has no part along yhat, where H curves as the first number says; along v as the second. g has length 1."""
    y, g, _, _ = draw(8, 1)
    sigma = y.std(unbiased=False).item()
    yhat = (y - y.mean()) / sigma / math.sqrt(8)  # of length 1
    along = g - g.mean() - yhat * (g @ yhat)
    along = along / along.norm()
    g = 0.8 * along + 0.6 * yhat
    hessian = along_v * torch.outer(along, along) + along_yhat * torch.outer(yhat, yhat)
    result = theorem_4_2(y, g, hessian, size * sigma)
    three = ("rayleigh_condition", "v_at_most_g", "curvature_g_nonnegative")
    assert [name for name in three if not result.assumptions[name]] == [lacks] * bool(lacks)
    assert result.part_b_holds == (not lacks)
    assert result.part_b_assumptions == (not lacks)
    # v = size · 0.8 along
    assert result.curvature_v == pytest.approx(size**2 * 0.64 * along_v, rel=1e-12)
    assert result.curvature_g == pytest.approx(0.64 * along_v + 0.36 * along_yhat, rel=1e-12)


def test_4_2_assumptions_are_those_of_the_numbers():
    y, g, hessian, gamma = draw(8, 7, definite=False)
    hessian[0, 1] += 1.0
    result = theorem_4_2(y, g, hessian, gamma)
    v, yhat = result.v, (y - y.mean()) / y.std(unbiased=False)
    v_curvature, g_curvature = (v @ hessian @ v).item(), (g @ hessian @ g).item()
    assert result.assumptions == {
        "rayleigh_condition": v_curvature / (v @ v).item() <= g_curvature / (g @ g).item(),
        "v_at_most_g": (v.norm() <= g.norm()).item(),
        "curvature_g_nonnegative": g_curvature >= 0,
        "curvature_v_nonnegative": v_curvature >= 0,
        "overlap_nonnegative": (g @ yhat).item() >= 0,
        "gamma_at_most_sigma": gamma <= y.std(unbiased=False).item(),
        "hessian_symmetric": False,
    }
    # the same products in another order
    assert result.curvature_v == pytest.approx(v_curvature, rel=1e-12)
    assert result.curvature_g == pytest.approx(g_curvature, rel=1e-12)


@pytest.mark.parametrize("m", [3, 16, 64])
def test_c_1_identity_and_counterexamples(m):
    for seed in range(15):
        y, g, hessian, gamma = draw(m, seed)
        lam = 0.5 + 0.1 * seed
        result = theorem_c_1(y, g, hessian, gamma, lam)
        assert result.holds_corrected
        v, hat = result.v, result.normalized_hessian
        # the value at X = lam I
        assert result.lhs == pytest.approx(lam**4 * (v @ hat @ v).item(), rel=1e-10)
        X = result.counterexample
        assert X is not None
        assert X.shape == (m, 1)
        assert torch.linalg.matrix_norm(X, 2) <= lam
        weight_gradient = X.T @ v
        value = (weight_gradient @ (X.T @ hat @ X) @ weight_gradient).item()
        assert value > result.lhs
        # the counterexample attains the true maximum; 1e-13 was taken off its norm
        assert value == pytest.approx(result.counterexample_value, rel=1e-9)
        assert value == pytest.approx(result.maximum_normalized, rel=1e-9)


def test_c_1_no_input_exceeds_the_true_maximum():
    y, g, hessian, gamma = draw(5, 1)
    result = theorem_c_1(y, g, hessian, gamma, 1.3)
    generator = torch.Generator().manual_seed(0)
    largest = -math.inf
    for _ in range(2000):
        X = torch.randn(5, 2, dtype=torch.float64, generator=generator)
        X *= 1.3 / torch.linalg.matrix_norm(X, 2)
        u = X @ (X.T @ result.v)
        largest = max(largest, (u @ result.normalized_hessian @ u).item())
    assert 0.5 * result.maximum_normalized < largest <= result.maximum_normalized


def test_c_1_has_a_counterexample_even_when_v_is_an_eigenvector_of_h():
    y, g, _, gamma = draw(6, 2)
    yhat = (y - y.mean()) / y.std(unbiased=False)
    g = g - g.mean() - yhat * (g @ yhat) / 6  # then v is parallel to g, and an eigenvector of H = I
    result = theorem_c_1(y, g, torch.eye(6, dtype=torch.float64), gamma, 2.0)
    # yhat' Hhat v = -(gamma/sigma^2) <g, v> turns Hhat v away from v
    expected = -gamma / y.var(unbiased=False) * (g @ result.v)
    assert (yhat @ result.normalized_hessian @ result.v).item() == pytest.approx(expected.item(), rel=1e-12)
    assert result.counterexample is not None
    assert result.counterexample_value > result.lhs * 1.01


@pytest.mark.parametrize("lam", [1.0, 2.5])
def test_c_1_strictness_fails_at_equality(lam):
    y, g, _, _ = draw(6, 2)
    sigma = y.std(unbiased=False).item()
    yhat = (y - y.mean()) / sigma
    g = g - g.mean() - yhat * (g @ yhat) / 6
    result = theorem_c_1(y, g, torch.eye(6, dtype=torch.float64), sigma, lam)
    assert result.lhs == pytest.approx(result.rhs_printed, rel=1e-12)  # v = g: the same numbers in two ways
    assert not result.holds_printed
    assert not result.holds_with_true_maxima


def test_c_1_zero_gradient():
    y, g, hessian, gamma = draw(6, 2)
    result = theorem_c_1(y, 0 * g, hessian, gamma, 1.0)
    assert result.counterexample is None
    assert math.isnan(result.counterexample_value)
    assert (result.lhs, result.maximum_normalized, result.maximum_plain) == (0.0, 0.0, 0.0)
