"""Observation 4.3 on least squares with and without a bias column, and Lemma 4.5 with its scale invariance."""

import pytest
import torch
from torch import Tensor

from normlab.theory import lemma_4_5, observation_4_3


def least_squares(bias: bool) -> tuple[Tensor, Tensor, Tensor]:
    """X, the minimizer w of ||Xw - t||^2/2, and the gradient Xw - t at its outputs."""
    generator = torch.Generator().manual_seed(2)
    X = torch.randn(30, 4, dtype=torch.float64, generator=generator) + 0.5
    target = torch.randn(30, dtype=torch.float64, generator=generator) + 2.0
    if bias:
        X[:, 3] = 1.0
    w = torch.linalg.lstsq(X, target[:, None]).solution[:, 0]
    return X, w, X @ w - target


def normalized_weight_gradient(X: Tensor, w: Tensor, target: Tensor) -> Tensor:
    """Gradient in w of ||z - target||^2/2 with z = sigma yhat + mu, sigma and mu held at their values: autograd."""
    w = w.clone().requires_grad_(True)
    y = X @ w
    sigma, mu = y.std(unbiased=False).detach(), y.mean().detach()
    z = sigma * (y - y.mean()) / y.var(unbiased=False).sqrt() + mu
    return torch.autograd.grad(0.5 * (z - target).square().sum(), w)[0]


def test_without_bias_a_minimum_is_not_preserved():
    X, w, g = least_squares(bias=False)
    result = observation_4_3(X, w, g)
    assert result.assumptions == {"stationary": True, "bias_column": False, "stationary_part_nonzero": True}
    assert result.plain_gradient < 1e-11  # the solver's rounding
    assert result.lhs > 0.1
    expected = normalized_weight_gradient(X, w, X @ w - g).norm().item()
    # g is stationary up to the solver's rounding
    assert result.lhs == pytest.approx(expected, rel=1e-10)
    assert result.normalized_gradient == pytest.approx(expected, rel=1e-10)
    assert result.lhs == pytest.approx(result.rhs_corrected, rel=1e-10)
    assert result.holds_corrected
    assert not result.holds_printed


def test_with_a_bias_column_it_is():
    X, w, g = least_squares(bias=True)
    result = observation_4_3(X, w, g)
    assert result.assumptions == {"stationary": True, "bias_column": True, "stationary_part_nonzero": True}
    assert normalized_weight_gradient(X, w, X @ w - g).norm() < 1e-11
    assert result.lhs < 1e-11
    assert result.holds_printed
    assert result.holds_corrected


def test_any_gradient_is_judged_at_its_stationary_part():
    X, w, _ = least_squares(bias=False)
    g = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    result = observation_4_3(X, w, g)
    assert not result.assumptions["stationary"]
    assert result.plain_gradient == pytest.approx((X.T @ g).norm().item(), rel=1e-12)
    # projections leave rounding of size 1e-15 times ||X|| ||g||
    assert result.plain_gradient_without_bias < 1e-12
    assert result.plain_gradient_with_bias < 1e-12
    assert result.normalized_gradient_with_bias < 1e-12
    assert result.normalized_gradient_without_bias == result.lhs > 0.01
    assert not result.holds_printed
    assert result.holds_corrected


def test_of_a_gradient_nearly_in_the_span_the_rest_is_at_right_angles_to_it():
    """One projection leaves the rounding of the large part, a hundred-millionth of the rest; a second one takes it."""
    X, w, _ = least_squares(bias=False)
    g = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    result = observation_4_3(X, w, g + 1e8 * X.sum(1))
    assert result.plain_gradient > 1e9
    # a few roundings of sums of thirty numbers of size 1
    assert result.plain_gradient_without_bias < 1e-13
    assert result.plain_gradient_with_bias < 1e-13


def test_the_function_is_the_same():
    X, w, g = least_squares(bias=False)
    assert observation_4_3(X, w, g).activation_gap < 1e-14
    assert observation_4_3(X, 1e3 * w, g).activation_gap < 1e-14


def test_of_outputs_with_mean_zero_rounding_is_rounding():
    """Whole numbers whose means are exact: mu is 0 itself, and what is left beside a bias is rounding."""
    X = torch.tensor([[-3.0, 1.0, 1.0], [1.0, -2.0, 1.0], [4.0, 1.0, 1.0], [-2.0, 0.0, 1.0]], dtype=torch.float64)
    g = torch.tensor([0.3, -1.1, 0.7, 0.9], dtype=torch.float64)
    result = observation_4_3(X, torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64), g)
    assert result.lhs < 1e-14
    assert (result.holds_printed, result.holds_corrected) == (True, True)
    without_bias = observation_4_3(X[:, :2], torch.ones(2, dtype=torch.float64), g)
    assert without_bias.rhs_corrected < 1e-14  # the columns have mean 0, too: a mean taken out of g is at right angles
    assert (without_bias.holds_printed, without_bias.holds_corrected) == (True, True)


@pytest.mark.parametrize("offset", [-1e5, 1e3, 1e5])
def test_far_from_zero_the_corrected_form_holds_up_to_the_rounding_of_both_its_terms(offset):
    """Inputs of a large mean: X'1 and (mu/sigma) X'yhat are as much larger than their difference."""
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        X, w, g = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in ((30, 4), (4,), (30,)))
        result = observation_4_3(X + offset, w, g)
        assert result.holds_corrected
        assert result.activation_gap < 1e-14


def test_with_more_inputs_than_samples_everything_is_preserved():
    generator = torch.Generator().manual_seed(3)
    X, w, g = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in ((4, 9), (9,), (4,)))
    result = observation_4_3(X, w, g)
    assert not result.assumptions["stationary_part_nonzero"]
    assert result.holds_printed
    assert result.holds_corrected


@pytest.mark.parametrize("seed", range(20))
def test_lemma_4_5(seed):
    w0, w_star = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    result = lemma_4_5(w0, w_star)
    positive = bool(w0 @ w_star > 0)
    assert result.assumptions == {"positive_inner_product": positive}
    assert result.holds_corrected
    assert result.holds_printed == positive  # its condition is needed
    if positive:
        # projections of vectors of size 1 in float64
        assert result.lhs == pytest.approx(result.rhs_printed, rel=1e-12)
        assert result.lhs <= (w0 - w_star).square().sum().item()
    scales = torch.linspace(0, 4, 40001, dtype=torch.float64)
    nearest = (w0 - scales[:, None] * w_star).square().sum(1).min().item()
    # a grid of 1e-4 along the ray misses the minimum by (1e-4)^2 ||w_star||^2
    assert nearest - 1e-6 <= result.lhs <= nearest + 1e-12


def test_lemma_4_5_optima_lie_on_a_ray():
    """The normalized unit and its loss do not change when the weights grow: every a w_star is an optimum."""
    X, w, g = least_squares(bias=True)
    target = X @ w - g

    def loss(w: Tensor) -> Tensor:
        y = X @ w
        return (1.3 * (y - y.mean()) / y.std(unbiased=False) + 0.2 - target).square().sum()

    for a in (1e-3, 0.5, 7.0):
        # the same quotient from numbers of another size
        assert loss(a * w).item() == pytest.approx(loss(w).item(), rel=1e-12)
    assert loss(-w).item() != pytest.approx(loss(w).item(), rel=1e-3)
