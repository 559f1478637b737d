"""Theorems 4.1 and 4.4: where the printed form fails, and that the corrected one is an equality."""

import math

import pytest
import torch
from torch import Tensor

from normlab.theory import theorem_4_1, theorem_4_4


def draw(m: int, seed: int) -> tuple[Tensor, Tensor, float]:
    generator = torch.Generator().manual_seed(1000 * m + seed)
    y, g = torch.randn(2, m, dtype=torch.float64, generator=generator)
    gamma = math.exp(torch.randn((), generator=generator).item())
    return 2.0 * y + 0.5, g, gamma


@pytest.mark.parametrize("m", [4, 16, 128])
def test_4_1_corrected_is_an_equality_and_printed_always_fails(m):
    for seed in range(100):
        y, g, gamma = draw(m, seed)
        result = theorem_4_1(y, g, gamma)
        # T1: 5e-12 is what 3,600 random cases leave
        assert result.lhs == pytest.approx(result.rhs_corrected, rel=1e-10)
        assert result.holds_corrected
        assert result.rhs_printed < result.lhs  # T1'
        assert not result.holds_printed
        assert result.assumptions["overlap_nonzero"]
        # T1''
        assert math.sqrt(result.lhs) <= result.gradient_bound
        assert result.assumptions["gamma_at_most_sigma"] == (gamma <= result.sigma)
        if gamma <= result.sigma:
            assert result.lhs <= g.square().sum().item()


def test_4_1_lhs_is_the_gradient_of_autograd():
    y, g, gamma = draw(16, 0)
    y.requires_grad_(True)
    z = gamma * (y - y.mean()) / y.var(unbiased=False).sqrt()
    v = torch.autograd.grad(z, y, g)[0]
    # one backward pass against a formula, numbers of size 1
    assert theorem_4_1(y, g, gamma).lhs == pytest.approx(v.square().sum().item(), rel=1e-12)


def test_4_1_printed_holds_when_g_and_yhat_are_orthogonal():
    y, g, gamma = draw(16, 1)
    yhat = (y - y.mean()) / y.std(unbiased=False)
    result = theorem_4_1(y, g - yhat * (g @ yhat) / 16, gamma)
    assert result.holds_printed
    assert not result.assumptions["overlap_nonzero"]


def test_4_1_gradient_can_grow_when_gamma_exceeds_sigma():
    y, g, _ = draw(64, 2)
    result = theorem_4_1(y, g, 30.0)
    assert not result.assumptions["gamma_at_most_sigma"]
    assert result.lhs > g.square().sum().item()


def test_4_1_zero_gradient():
    y, g, gamma = draw(8, 3)
    result = theorem_4_1(y, 0 * g, gamma)
    assert (result.lhs, result.rhs_printed, result.rhs_corrected) == (0.0, 0.0, 0.0)
    assert result.holds_printed
    assert result.holds_corrected


@pytest.mark.parametrize("m", [4, 16, 128])
def test_4_4_corrected_is_the_maximum(m):
    generator = torch.Generator().manual_seed(m)
    for seed in range(30):
        y, g, gamma = draw(m, seed)
        lam = 0.2 + 0.2 * seed
        result = theorem_4_4(y, g, gamma, lam)
        assert result.holds_corrected
        # the same as for 4.1, times lam^2
        assert result.lhs == pytest.approx(result.rhs_corrected, rel=1e-10)
        # attained by X = lam I, and by the X returned, of norm lam
        assert result.lhs == pytest.approx(lam**2 * result.v.square().sum().item(), rel=1e-12)
        assert torch.linalg.matrix_norm(result.maximizer, 2).item() == pytest.approx(lam, rel=1e-12)
        # not exceeded by inputs of norm lam
        X = torch.randn(m, 3, dtype=torch.float64, generator=generator)
        X *= lam / torch.linalg.matrix_norm(X, 2)
        assert (X.T @ result.v).square().sum().item() <= result.lhs * (1 + 1e-12)


@pytest.mark.parametrize("lam", [0.5, 3.0])
def test_every_right_side_is_what_the_paper_or_its_correction_says(lam):
    y, g, gamma = draw(7, 4)
    ys, gs, m = y.tolist(), g.tolist(), 7
    mu = math.fsum(ys) / m
    variance = math.fsum((value - mu) ** 2 for value in ys) / m
    square, total = math.fsum(value**2 for value in gs), math.fsum(gs)
    overlap = math.fsum(a * (b - mu) for a, b in zip(gs, ys, strict=True)) / math.sqrt(variance)
    gain, largest = gamma**2 / variance, lam**2 * square
    first, fourth = theorem_4_1(y, g, gamma), theorem_4_4(y, g, gamma, lam)
    expected = {
        "4.1 printed": gain * (square - total**2 / m - overlap**2 / math.sqrt(m)),
        "4.1 corrected": gain * (square - total**2 / m - overlap**2 / m),
        "4.4 printed": gain * (largest**2 - m * (total / m) ** 2 - lam**2 * overlap**2),
        "4.4 printed, g_j^2 as a norm": gain * (largest - m * (total / m) ** 2 - lam**2 * overlap**2),
        "4.4 corrected": gain * (largest - lam**2 * m * (total / m) ** 2 - lam**2 / m * overlap**2),
    }
    found = (
        first.rhs_printed, first.rhs_corrected, fourth.rhs_printed, fourth.rhs_printed_as_norm, fourth.rhs_corrected
    )  # fmt: skip
    # sums of seven numbers of size 1, added in two ways
    assert dict(zip(expected, found, strict=True)) == pytest.approx(expected, rel=1e-12)


def test_4_4_printed_depends_on_the_units_of_the_loss():
    y, g, gamma = draw(16, 0)
    verdicts = {scale: theorem_4_4(y, scale * g, gamma, 1.0).holds_printed for scale in (1e-3, 1e3)}
    assert verdicts == {1e-3: False, 1e3: True}
    assert all(theorem_4_4(y, scale * g, gamma, 1.0).holds_corrected for scale in verdicts)


def test_4_4_printed_read_as_a_norm_fails_too():
    # without 1/m the subtracted part is m times too large
    y, g, gamma = draw(16, 0)
    result = theorem_4_4(y, g, gamma, 1.0)
    assert result.rhs_printed_as_norm < result.lhs


def test_4_4_zero_gradient():
    y, g, gamma = draw(8, 3)
    result = theorem_4_4(y, 0 * g, gamma, 2.0)
    assert result.lhs == 0.0
    assert result.holds_corrected


def test_for_real_inputs_the_bound_on_weights_does_not_follow():
    """||X'v|| <= (gamma/sigma) ||X'g|| fails for inputs that g is nearly orthogonal to (claim C22)."""
    y, g, gamma = draw(16, 5)
    result = theorem_4_1(y, g, gamma)
    X = result.v[:, None] - g[:, None] * (g @ result.v) / (g @ g)
    assert torch.linalg.vector_norm(X.T @ result.v) > gamma / result.sigma * torch.linalg.vector_norm(X.T @ g) + 0.01
