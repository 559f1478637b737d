"""The statements about the curvature: Theorem 4.2 (one unit's outputs) and Theorem C.1 (its weights)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from normlab.theory.ball import maximize_in_ball
from normlab.theory.gradient import check_positive
from normlab.theory.normalization import Statement, Unit, at_most, check_hessian, equal, measure_unit, unit_hessian


@dataclass(frozen=True, kw_only=True)
class Theorem42(Statement):
    """Result of `theorem_4_2`; lhs and right sides are those of part (a).

    Attributes:
        v: (m,) the gradient at the outputs before BatchNorm.
        normalized_hessian: (m, m) the Hessian there.
        overlap: <g, yhat>.
        curvature_v: v'Hv.
        curvature_g: g'Hg.
        part_b_rhs: right side of part (b); its left side is lhs.
        part_b_holds: whether lhs <= part_b_rhs.
        part_b_assumptions: whether all three conditions under which part (b) follows are true.
    """

    v: Tensor
    normalized_hessian: Tensor
    overlap: float
    curvature_v: float
    curvature_g: float
    part_b_rhs: float
    part_b_holds: bool
    part_b_assumptions: bool


@dataclass(frozen=True, kw_only=True)
class TheoremC1(Statement):
    """Result of `theorem_c_1`.

    Attributes:
        counterexample: (m, 1) inputs X with ||X|| <= lam whose value exceeds the printed maximum, or None
            where none does by more than rounding (v = 0).
        counterexample_value: the value of (X'v)'(X' Hhat X)(X'v) there, or NaN.
        maximum_normalized: the true maximum over all X with ||X|| <= lam.
        maximum_plain: the true maximum of (X'g)'(X' H X)(X'g), without BatchNorm.
        holds_with_true_maxima: whether the printed relation holds with the true maxima in place of the printed ones.
        v: (m,) the gradient at the outputs before BatchNorm.
        normalized_hessian: (m, m) the Hessian there.
    """

    counterexample: Tensor | None
    counterexample_value: float
    maximum_normalized: float
    maximum_plain: float
    holds_with_true_maxima: bool
    v: Tensor
    normalized_hessian: Tensor


def theorem_4_2(y: Tensor, g: Tensor, hessian: Tensor, gamma: float) -> Theorem42:
    r"""The curvature along the gradient at a unit's outputs (predictiveness of the gradient).

    With H = `hessian` and Hhat = d^2 L/dy^2 (see `normalized_hessian`):

        (a) printed:    v' Hhat v <= (gamma^2/sigma^2) v'Hv - gamma/(m sigma^2) <g, yhat> ||v||^2
            corrected:  the same with "=": nothing is estimated, since v is orthogonal to 1 and to yhat
        (b) printed:    v' Hhat v <= (gamma^2/sigma^2) ( g'Hg - 1/(m gamma) <g, yhat> ||v||^2 )
                        "if H preserves the relative norms of g and v"

    (b) follows when v'Hv <= g'Hg. The condition named in words reads v'Hv/||v||^2 <= g'Hg/||g||^2; it gives that only
    together with ||v|| <= ||g|| (for example |gamma| <= sigma) and g'Hg >= 0, which the paper does not name. That the
    gradient becomes *more* predictive further needs v'Hv >= 0 and <g, yhat> >= 0: all reported, so they can be counted.

    Assumptions reported: `rayleigh_condition` (v'Hv ||g||^2 <= g'Hg ||v||^2), `v_at_most_g` (||v|| <= ||g||),
    `curvature_g_nonnegative`, `curvature_v_nonnegative`, `overlap_nonnegative` (<g, yhat> >= 0), `gamma_at_most_sigma`,
    `hessian_symmetric`.

    Args:
        y: (m,) float64, outputs of the unit before BatchNorm.
        g: (m,) float64, gradient of the loss at BatchNorm's output.
        hessian: (m, m) float64, Hessian of the loss in BatchNorm's output of this unit, other units fixed.
        gamma: BatchNorm's scale, not 0.

    Returns:
        lhs = v' Hhat v with the full matrix Hhat, the right side of (a), which is the same in print and corrected ("<="
        against "="), and the quantities of (b) as further fields.

    Example:
        >>> import torch
        >>> from normlab.theory import theorem_4_2
        >>> y = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
        >>> g = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
        >>> hessian = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
        >>> found = theorem_4_2(y, g, hessian, gamma=1.0)
        >>> found.holds_printed, found.holds_corrected
        (True, True)

    Raises:
        TypeError: y, g or hessian is not a float64 tensor.
        ValueError: shapes do not fit, m < 2, a value is not finite, sigma = 0 or gamma = 0.

    Place in the paper: Theorem 4.2 in Section 4.2, proof in Appendix C.2; claims C19 and C22.
    """
    unit, matrix = _measure(y, g, hessian, gamma)
    hessian = hessian.detach()
    lhs = torch.dot(unit.v, matrix @ unit.v).item()
    curvature_v = torch.dot(unit.v, hessian @ unit.v).item()
    curvature_g = torch.dot(unit.g, hessian @ unit.g).item()
    loss_term = _interaction(unit)
    rhs = unit.gain * (curvature_v - loss_term)
    part_b = unit.gain * (curvature_g - loss_term)
    scale = _largest_term(unit, hessian)
    assumptions = _assumptions(unit, hessian, curvature_v, curvature_g)
    conditions = ("rayleigh_condition", "v_at_most_g", "curvature_g_nonnegative")
    return Theorem42(
        lhs=lhs,
        rhs_printed=rhs,
        rhs_corrected=rhs,
        assumptions=assumptions,
        holds_printed=at_most(lhs, rhs, scale),
        holds_corrected=equal(lhs, rhs, scale),
        v=unit.v,
        normalized_hessian=matrix,
        overlap=unit.overlap,
        curvature_v=curvature_v,
        curvature_g=curvature_g,
        part_b_rhs=part_b,
        part_b_holds=at_most(lhs, part_b, scale),
        part_b_assumptions=all(assumptions[name] for name in conditions),
    )


def theorem_c_1(y: Tensor, g: Tensor, hessian: Tensor, gamma: float, lam: float) -> TheoremC1:
    r"""The largest curvature along the gradient in the unit's weights, over inputs X with spectral norm at most lam.

    With dL/dw = X'v and d^2 L/dw^2 = X' Hhat X the value at X is (X'v)'(X' Hhat X)(X'v), and

        printed:    max value = lam^4 v' Hhat v < (gamma^2/sigma^2) ( lam^4 g'Hg - lam^4 kappa ),
                    kappa = 1/(m gamma) <g, yhat> ||v||^2
        corrected:  at X = lam I:  lam^4 v' Hhat v = (gamma^2/sigma^2) lam^4 ( v'Hv - kappa )

    The maximization step is false: XX'v may be turned away from v towards a direction of more curvature. The vectors
    u = XX'v / lam^2 that some X reaches are exactly those in the ball between 0 and v, ||u - v/2|| <= ||v||/2 (one
    column X = lam u / sqrt(<u, v>) is enough), so the true maximum is that of lam^4 u' Hhat u over this ball. It is at
    u = v only if v is an eigenvector of Hhat, which it never is: yhat' Hhat v = -(gamma/sigma^2) <g, v> is not 0 for
    v != 0. So every unit with v != 0 has an X that exceeds the printed maximum, `counterexample`. What remains true is
    the value at the fixed X = lam I, an equality by Theorem 4.2(a). The strict inequality also fails where v'Hv = g'Hg.

    Assumptions reported: those of `theorem_4_2`.

    Args:
        y: (m,) float64, outputs of the unit before BatchNorm.
        g: (m,) float64, gradient of the loss at BatchNorm's output.
        hessian: (m, m) float64, Hessian of the loss in BatchNorm's output of this unit.
        gamma: BatchNorm's scale, not 0.
        lam: bound on the spectral norm of X, above 0.

    Returns:
        lhs = lam^4 v' Hhat v, which the paper takes for the maximum, both right sides, true maxima and a
        counterexample.

    Example:
        >>> import torch
        >>> from normlab.theory import theorem_c_1
        >>> y = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
        >>> g = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
        >>> hessian = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
        >>> found = theorem_c_1(y, g, hessian, gamma=1.0, lam=1.0)
        >>> found.holds_printed, found.holds_corrected
        (True, True)

    Raises:
        TypeError: y, g or hessian is not a float64 tensor.
        ValueError: shapes do not fit, m < 2, a value is not finite, sigma = 0, gamma = 0 or lam <= 0.

    Place in the paper: Theorem C.1 in Appendix C.3; claim C20.
    """
    unit, matrix = _measure(y, g, hessian, gamma)
    hessian, lam = hessian.detach(), check_positive("lam", lam)
    curvature_v = torch.dot(unit.v, hessian @ unit.v).item()
    curvature_g = torch.dot(unit.g, hessian @ unit.g).item()
    kappa, scale = _interaction(unit), lam**4 * _largest_term(unit, hessian)
    lhs = lam**4 * torch.dot(unit.v, matrix @ unit.v).item()
    printed = unit.gain * lam**4 * (curvature_g - kappa)
    corrected = unit.gain * lam**4 * (curvature_v - kappa)
    u, maximum = maximize_in_ball(matrix, unit.v)
    maximum_plain = lam**4 * maximize_in_ball(hessian, unit.g)[1]
    counterexample, value = None, float("nan")
    if maximum * lam**4 > lhs + 1e-9 * scale:
        # a hair inside the bound, so that ||X|| <= lam survives rounding
        counterexample = (1 - 1e-13) * lam * u[:, None] / torch.dot(u, unit.v).clamp_min(torch.dot(u, u)).sqrt()
        moved = counterexample @ (counterexample.T @ unit.v)
        value = torch.dot(moved, matrix @ moved).item()
    bound = unit.gain * (maximum_plain - lam**4 * kappa)
    return TheoremC1(
        lhs=lhs,
        rhs_printed=printed,
        rhs_corrected=corrected,
        assumptions=_assumptions(unit, hessian, curvature_v, curvature_g),
        holds_printed=lhs < printed and not equal(lhs, printed, scale),
        holds_corrected=equal(lhs, corrected, scale),
        counterexample=counterexample,
        counterexample_value=value,
        maximum_normalized=lam**4 * maximum,
        maximum_plain=maximum_plain,
        holds_with_true_maxima=lam**4 * maximum < bound and not equal(lam**4 * maximum, bound, scale),
        v=unit.v,
        normalized_hessian=matrix,
    )


def _measure(y: Tensor, g: Tensor, hessian: Tensor, gamma: float) -> tuple[Unit, Tensor]:
    unit = measure_unit(y, g, gamma)
    check_hessian(hessian, unit.m)
    return unit, unit_hessian(unit, hessian.detach())


def _interaction(unit: Unit) -> float:
    """kappa = 1/(m gamma) <g, yhat> ||v||^2."""
    return unit.overlap * torch.dot(unit.v, unit.v).item() / (unit.m * unit.gamma)


def _largest_term(unit: Unit, hessian: Tensor) -> float:
    """The size of what adds up to the two sides, for judging rounding."""
    square = torch.dot(unit.v, unit.v).item()
    overlap = torch.linalg.vector_norm(unit.g).item() / (unit.m**0.5 * abs(unit.gamma))
    return unit.gain * square * (torch.linalg.matrix_norm(hessian).item() + overlap)


def _assumptions(unit: Unit, hessian: Tensor, curvature_v: float, curvature_g: float) -> dict[str, bool]:
    v_square, g_square = torch.dot(unit.v, unit.v).item(), torch.dot(unit.g, unit.g).item()
    size = torch.linalg.matrix_norm(hessian).item()
    return {
        "rayleigh_condition": at_most(curvature_v * g_square, curvature_g * v_square, size * v_square * g_square),
        "v_at_most_g": at_most(v_square, g_square),
        "curvature_g_nonnegative": at_most(0.0, curvature_g, size * g_square),
        "curvature_v_nonnegative": at_most(0.0, curvature_v, size * v_square),
        "overlap_nonnegative": at_most(0.0, unit.overlap, (unit.m * g_square) ** 0.5),
        "gamma_at_most_sigma": at_most(abs(unit.gamma), unit.sigma),
        "hessian_symmetric": equal(torch.linalg.matrix_norm(hessian - hessian.T).item(), 0.0, size),
    }
