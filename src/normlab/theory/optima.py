"""The statements about where the optima are: Observation 4.3 and Lemma 4.5."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from normlab.theory.normalization import Statement, at_most, check_tensor, check_vector, equal, measure_unit


@dataclass(frozen=True, kw_only=True)
class Observation43(Statement):
    """Result of `observation_4_3`.

    Attributes:
        activation_gap: max |z - y| with gamma = sigma, beta = mu, relative to max |y|.
        plain_gradient: ||X'g|| of the given g.
        normalized_gradient: ||X'v|| of the given g.
        plain_gradient_without_bias: ||X'g0||, g0 the part of g with X'g0 = 0: zero up to rounding.
        normalized_gradient_without_bias: ||X'v0|| of it (the left side).
        plain_gradient_with_bias: ||[X 1]'g1||, g1 the part of g with [X 1]'g1 = 0: zero up to rounding.
        normalized_gradient_with_bias: ||[X 1]'v1|| of it.
    """

    activation_gap: float
    plain_gradient: float
    normalized_gradient: float
    plain_gradient_without_bias: float
    normalized_gradient_without_bias: float
    plain_gradient_with_bias: float
    normalized_gradient_with_bias: float


@dataclass(frozen=True, kw_only=True)
class Lemma45(Statement):
    """Result of `lemma_4_5`.

    Attributes:
        scale: k = <w_star, w0> / ||w_star||^2.
        nearest: (d,) max(k, 0) w_star, the nearest point of the ray.
        inner_product: <w0, w_star>.
    """

    scale: float
    nearest: Tensor
    inner_product: float


def observation_4_3(X: Tensor, w: Tensor, g: Tensor) -> Observation43:
    r"""BatchNorm with gamma = sigma and beta = mu is the same function; are the minima the same, too?

    y = Xw, z = gamma yhat + beta, v = Pg (Fact C.1 with gamma = sigma):

        printed:    z = y for gamma = sigma, beta = mu; consequently X'g = 0 implies X'v = 0 ("all minima preserved")
        corrected:  z = y; and where X'g = 0,   X'v = -(<1, g>/m) (X'1 - (mu/sigma) X'yhat),
                    which is 0 if also <1, g> = 0: always when X has a bias column, not without one

    The first part is exact. The consequence is not: BatchNorm takes the mean out of g, and a unit without a bias is
    stationary at g with <1, g> != 0. To decide it for any g, the statement is checked at the stationary part of the
    given one: g0 = g less its projection on the columns of X (g itself if X'g = 0 already).

    Assumptions reported: `stationary` (X'g = 0 for the given g), `bias_column` (1 is in the span of X's columns),
    `stationary_part_nonzero` (g0 != 0; without it, as for m <= d, everything is preserved trivially).

    Args:
        X: (m, d) float64, inputs of the layer.
        w: (d,) float64, the unit's weights, with sigma of Xw above 0.
        g: (m,) float64, gradient of the loss at the outputs y (the same at z, since z = y).

    Returns:
        lhs = ||X'v0||; rhs_printed = 0; rhs_corrected = |<1, g0>|/m ||X'1 - (mu/sigma) X'yhat||; `holds_corrected` also
        asks that z = y and that the gradient vanishes with a bias column.

    Example:
        >>> import torch
        >>> from normlab.theory import observation_4_3
        >>> X = torch.tensor([[1.0, 0.0], [2.0, 1.0], [4.0, 1.0]], dtype=torch.float64)
        >>> w, g = torch.ones(2, dtype=torch.float64), torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
        >>> found = observation_4_3(X, w, g)
        >>> found.holds_printed, found.holds_corrected
        (False, True)

    Raises:
        TypeError: X, w or g is not a float64 tensor.
        ValueError: shapes do not fit, m < 2, a value is not finite, or sigma = 0.

    Place in the paper: Observation 4.3 in Section 4.2; claim C21.
    """
    check_tensor("X", X)
    check_vector("w", w)
    if X.dim() != 2 or X.shape[1] != len(w):
        raise ValueError(f"X: expected shape (m, {len(w)}) to fit w, got {tuple(X.shape)}")
    X, w = X.detach(), w.detach()
    y = X @ w
    # at gamma = sigma the unit is measured with gamma 1 first, because sigma is not known before
    sigma = measure_unit(y, g, 1.0).sigma
    unit = measure_unit(y, g, sigma)
    gap = ((sigma * unit.yhat + unit.mu) - y).abs().max().item() / y.abs().max().item()
    biased = torch.cat([X, torch.ones_like(y)[:, None]], dim=1)
    plain = _remove_span(unit.g, X)
    with_bias = _remove_span(unit.g, biased)
    ones = torch.ones_like(y)
    lhs = _length(X.T @ measure_unit(y, plain, sigma).v)
    direction = X.T @ ones - (unit.mu / sigma) * (X.T @ unit.yhat)
    corrected = abs(plain.sum().item()) / unit.m * _length(direction)
    normalized_with_bias = _length(biased.T @ measure_unit(y, with_bias, sigma).v)
    scale = _length(biased) * _length(unit.g)
    same_function = gap <= 1e-12 * max(1.0, abs(unit.mu) / sigma)  # rounding of y - mu and back
    # X'1 and X'yhat may be larger than their difference: the rounding of both counts
    rounding = scale * max(1.0, abs(unit.mu) / sigma)
    return Observation43(
        lhs=lhs,
        rhs_printed=0.0,
        rhs_corrected=corrected,
        assumptions={
            "stationary": equal(_length(X.T @ unit.g), 0.0, scale),
            "bias_column": equal(_length(_remove_span(ones, X)), 0.0, _length(ones)),
            "stationary_part_nonzero": not equal(_length(plain), 0.0, _length(unit.g)),
        },
        holds_printed=same_function and equal(lhs, 0.0, scale),
        holds_corrected=same_function and equal(lhs, corrected, rounding) and equal(normalized_with_bias, 0.0, scale),
        activation_gap=gap,
        plain_gradient=_length(X.T @ unit.g),
        normalized_gradient=_length(X.T @ unit.v),
        plain_gradient_without_bias=_length(X.T @ plain),
        normalized_gradient_without_bias=lhs,
        plain_gradient_with_bias=_length(biased.T @ with_bias),
        normalized_gradient_with_bias=normalized_with_bias,
    )


def lemma_4_5(w0: Tensor, w_star: Tensor) -> Lemma45:
    r"""How far the nearest optimum is from the initialization w0, with and without BatchNorm.

    A normalized unit does not change when its weights are multiplied by a > 0, so with w_star all points of the ray
    {a w_star: a > 0} are optima of the normalized network; the nearest of them to w0 is what_star = k w_star with
    k = <w_star, w0> / ||w_star||^2.

        printed:    ||w0 - what_star||^2 <= ||w0 - w_star||^2 - (1/||w_star||^2) (||w_star||^2 - <w_star, w0>)^2,
                    if <w0, w_star> > 0
        corrected:  the same with "="; and if <w0, w_star> <= 0 the nearest point of the ray is its end at 0, so
                    that the left side is ||w0||^2

    `holds_printed` tests the printed inequality whether or not its condition is true: without it, it fails.
    The lemma takes for granted that an optimum w_star of the plain network is one of the normalized network
    (Observation 4.3: this needs a bias column) and that gamma and beta are fixed.

    Assumptions reported: `positive_inner_product` (<w0, w_star> > 0).

    Args:
        w0: (d,) float64, initial weights of the unit.
        w_star: (d,) float64, an optimum of the plain network, not 0.

    Returns:
        lhs = the squared distance of w0 from the ray; the printed and the corrected right side.

    Example:
        >>> import torch
        >>> from normlab.theory import lemma_4_5
        >>> found = lemma_4_5(torch.tensor([1.0, 0.0]).double(), torch.tensor([2.0, 1.0]).double())
        >>> found.holds_printed, found.holds_corrected
        (True, True)

    Raises:
        TypeError: w0 or w_star is not a float64 tensor.
        ValueError: shapes differ, a value is not finite, or w_star = 0.

    Place in the paper: Lemma 4.5 in Section 4.2; claim C21.
    """
    check_vector("w0", w0)
    check_vector("w_star", w_star)
    if w0.shape != w_star.shape:
        raise ValueError(f"w_star: expected the shape of w0, {tuple(w0.shape)}, got {tuple(w_star.shape)}")
    w0, w_star = w0.detach(), w_star.detach()
    square, inner = torch.dot(w_star, w_star).item(), torch.dot(w0, w_star).item()
    if square == 0:
        raise ValueError("w_star: expected weights other than 0, got a zero vector")
    k = inner / square
    nearest = max(k, 0.0) * w_star
    lhs = _length(w0 - nearest) ** 2
    start, distance = _length(w0) ** 2, _length(w0 - w_star) ** 2
    printed = distance - (square - inner) ** 2 / square
    corrected = printed if inner > 0 else start
    scale = max(start, distance, (square - inner) ** 2 / square)
    return Lemma45(
        lhs=lhs,
        rhs_printed=printed,
        rhs_corrected=corrected,
        assumptions={"positive_inner_product": inner > 0},
        holds_printed=at_most(lhs, printed, scale),
        holds_corrected=equal(lhs, corrected, scale),
        scale=k,
        nearest=nearest,
        inner_product=inner,
    )


def _remove_span(vector: Tensor, matrix: Tensor) -> Tensor:
    """`vector` (m,) less its orthogonal projection on the columns of `matrix` (m, d)."""
    left, singular, _ = torch.linalg.svd(matrix, full_matrices=False)
    cutoff = singular[:1].max() * max(matrix.shape) * torch.finfo(torch.float64).eps if len(singular) else 0.0
    basis = left[:, singular > cutoff]
    for _ in range(2):  # the second pass removes the rounding of the first
        vector = vector - basis @ (basis.T @ vector)
    return vector


def _length(value: Tensor) -> float:
    length = torch.linalg.vector_norm(value).item()
    return length if math.isfinite(length) else math.inf
