"""The statements about the gradient: Theorem 4.1 (one unit's outputs) and Theorem 4.4 (its weights)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from normlab.theory.normalization import Statement, Unit, at_most, check_number, equal, measure_unit


@dataclass(frozen=True, kw_only=True)
class Theorem41(Statement):
    """Result of `theorem_4_1`.

    Attributes:
        v: (m,) the gradient at the outputs before BatchNorm.
        gradient_bound: (gamma/sigma) ||g||, which ||v|| never exceeds.
        overlap: <g, yhat>.
        sigma: standard deviation of y.
    """

    v: Tensor
    gradient_bound: float
    overlap: float
    sigma: float


@dataclass(frozen=True, kw_only=True)
class Theorem44(Statement):
    """Result of `theorem_4_4`.

    Attributes:
        g_max: lam^2 ||g||^2, the maximum over inputs of the squared gradient without BatchNorm.
        rhs_printed_as_norm: the printed right side when its g_j^2 is read as lam^2 ||g||^2.
        maximizer: (m, 1) inputs X of norm lam with ||X'v||^2 = lhs.
        v: (m,) the gradient at the outputs before BatchNorm.
    """

    g_max: float
    rhs_printed_as_norm: float
    maximizer: Tensor
    v: Tensor


def theorem_4_1(y: Tensor, g: Tensor, gamma: float) -> Theorem41:
    r"""How much BatchNorm shrinks the gradient at a unit's outputs (Lipschitzness of the loss).

        printed:    ||v||^2 <= (gamma^2/sigma^2) ( ||g||^2 - (1/m) <1, g>^2 - (1/sqrt(m)) <g, yhat>^2 )
        corrected:  ||v||^2  = (gamma^2/sigma^2) ( ||g||^2 - (1/m) <1, g>^2 - (1/m)       <g, yhat>^2 )

    The printed coefficient 1/sqrt(m) is false: v = (gamma/sigma) P g with the projector P on the complement of 1 and
    yhat, and the part of g along yhat has the squared norm <g, yhat>^2 / ||yhat||^2 = <g, yhat>^2 / m. Line (8) of the
    paper's own proof gives 1/m. The printed right side is smaller than the left whenever <g, yhat> != 0, and often
    negative. With 1/m nothing is estimated anywhere: it is an equality.

    Assumptions reported: `gamma_at_most_sigma` (|gamma| <= sigma; only then does ||v|| <= ||g|| follow, "better
    Lipschitz"), `overlap_nonzero` (<g, yhat> != 0; only then does the printed form differ).

    Args:
        y: (m,) float64, outputs of the unit before BatchNorm over the batch (for a convolution over batch and pixels).
        g: (m,) float64, gradient of the loss at BatchNorm's output (not at y).
        gamma: BatchNorm's scale, not 0.

    Returns:
        lhs = ||v||^2 from Fact C.1, both right sides, and whether they hold.

    Example:
        >>> import torch
        >>> from normlab.theory import theorem_4_1
        >>> y = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
        >>> g = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
        >>> found = theorem_4_1(y, g, gamma=1.0)
        >>> found.holds_printed, found.holds_corrected
        (False, True)

    Raises:
        TypeError: y or g is not a float64 tensor.
        ValueError: shapes differ, m < 2, a value is not finite, sigma = 0 or gamma = 0.

    Place in the paper: Theorem 4.1 in Section 4.2, proof in Appendix C.1; claim C18.
    """
    unit = measure_unit(y, g, gamma)
    lhs = torch.dot(unit.v, unit.v).item()
    square, total = torch.dot(unit.g, unit.g).item(), unit.g.sum().item()
    common = square - total**2 / unit.m
    printed = unit.gain * (common - unit.overlap**2 / math.sqrt(unit.m))
    corrected = unit.gain * (common - unit.overlap**2 / unit.m)
    scale = unit.gain * square
    return Theorem41(
        lhs=lhs,
        rhs_printed=printed,
        rhs_corrected=corrected,
        assumptions=_assumptions(unit, square),
        holds_printed=at_most(lhs, printed, scale),
        holds_corrected=equal(lhs, corrected, scale),
        v=unit.v,
        gradient_bound=math.sqrt(scale),
        overlap=unit.overlap,
        sigma=unit.sigma,
    )


def theorem_4_4(y: Tensor, g: Tensor, gamma: float, lam: float) -> Theorem44:
    r"""The largest gradient in the unit's weights, over all inputs X with spectral norm at most lam.

    With dL/dw = X'v, and X'g without BatchNorm, g_j = max ||X'g||^2 = lam^2 ||g||^2 and mu_g = mean(g):

        printed:    max ||X'v||^2 <= (gamma^2/sigma^2) ( g_j^2 - m mu_g^2       - lam^2     <g, yhat>^2 )
        corrected:  max ||X'v||^2  = (gamma^2/sigma^2) ( g_j   - lam^2 m mu_g^2 - (lam^2/m) <g, yhat>^2 )

    The printed form adds terms of different dimension: g_j is squared already, m mu_g^2 lacks lam^2, and the last term
    lacks 1/m. Its proof gives the corrected form, an equality: lam^2 times Theorem 4.1. Whether the printed inequality
    happens to hold depends on the units of the loss. `rhs_printed_as_norm` reads g_j^2 charitably as lam^2 ||g||^2; it
    still lacks lam^2 and 1/m.

    The maximum moves X while y = Xw, and with it sigma, yhat and g, stay where they are; so it says nothing about the
    real X: ||X'v|| <= (gamma/sigma) ||X'g|| does not follow, and has to be counted (claim C22).

    Assumptions reported: `gamma_at_most_sigma`, `overlap_nonzero`, as in `theorem_4_1`.

    Args:
        y: (m,) float64, outputs of the unit before BatchNorm.
        g: (m,) float64, gradient of the loss at BatchNorm's output.
        gamma: BatchNorm's scale, not 0.
        lam: bound on the spectral norm of X, above 0.

    Returns:
        lhs = ||X'v||^2 at the maximizing X (which is returned), both right sides, and whether they hold.

    Example:
        >>> import torch
        >>> from normlab.theory import theorem_4_4
        >>> y = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
        >>> g = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
        >>> found = theorem_4_4(y, g, gamma=1.0, lam=1.0)
        >>> found.holds_printed, found.holds_corrected
        (True, True)

    Raises:
        TypeError: y or g is not a float64 tensor.
        ValueError: shapes differ, m < 2, a value is not finite, sigma = 0, gamma = 0 or lam <= 0.

    Place in the paper: Theorem 4.4 in Section 4.2, proof in Appendix C.2; claim C20.
    """
    unit = measure_unit(y, g, gamma)
    lam = check_positive("lam", lam)
    length = torch.linalg.vector_norm(unit.v).item()
    direction = unit.v / length if length > 0 else torch.zeros_like(unit.v)
    maximizer = lam * direction[:, None]
    lhs = torch.linalg.vector_norm(maximizer.T @ unit.v).item() ** 2
    square, mean = torch.dot(unit.g, unit.g).item(), unit.g.mean().item()
    g_max = lam**2 * square
    printed = unit.gain * (g_max**2 - unit.m * mean**2 - lam**2 * unit.overlap**2)
    as_norm = unit.gain * (g_max - unit.m * mean**2 - lam**2 * unit.overlap**2)
    corrected = unit.gain * (g_max - lam**2 * unit.m * mean**2 - lam**2 / unit.m * unit.overlap**2)
    return Theorem44(
        lhs=lhs,
        rhs_printed=printed,
        rhs_corrected=corrected,
        assumptions=_assumptions(unit, square),
        holds_printed=at_most(lhs, printed),
        holds_corrected=equal(lhs, corrected, unit.gain * g_max),
        g_max=g_max,
        rhs_printed_as_norm=as_norm,
        maximizer=maximizer,
        v=unit.v,
    )


def check_positive(name: str, value: float) -> float:
    """`value` as a finite float above 0."""
    number = check_number(name, value)
    if number <= 0:
        raise ValueError(f"{name}: expected a number above 0, got {number:g}")
    return number


def _assumptions(unit: Unit, square: float) -> dict[str, bool]:
    return {
        "gamma_at_most_sigma": at_most(abs(unit.gamma), unit.sigma),
        "overlap_nonzero": not equal(unit.overlap, 0.0, math.sqrt(unit.m * square)),
    }
