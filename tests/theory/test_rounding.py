"""Where each verdict turns: at a difference of 1e-9 of the largest thing that was added up, worked out by hand.

Each case is a family of numbers over t in [0, 1] in which a verdict turns once. It is looked for by bisection; there
the difference that it judges, over the size by hand, is 1e-9.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from normlab.theory import lemma_4_5, observation_4_3, theorem_4_1, theorem_4_2, theorem_4_4, theorem_c_1

M = 7
LAM = 1.6
Family = Callable[[float], tuple[bool, float, float]]  # t → the verdict, the difference, the size
DRAWS = torch.Generator().manual_seed(11)
Y, G, R = torch.randn(3, M, dtype=torch.float64, generator=DRAWS)
Y = 1.3 * Y + 0.4
ROOT = torch.randn(M, M, dtype=torch.float64, generator=DRAWS)
SIGMA = Y.std(unbiased=False).item()
YHAT = (Y - Y.mean()) / SIGMA


def square(*vectors: Tensor) -> float:
    """Sum of all squares."""
    return math.fsum(value * value for vector in vectors for value in vector.flatten().tolist())


def without(vector: Tensor, *others: Tensor) -> Tensor:
    """What is left of a vector beside the span of others."""
    basis = torch.stack(others, 1)
    return vector - basis @ torch.linalg.lstsq(basis, vector[:, None]).solution[:, 0]


def gradient(overlap: float) -> Tensor:
    """With a mean, a part beside yhat, and <g, yhat> as asked."""
    return 0.9 + 2.0 * without(G, torch.ones(M).double(), YHAT) + overlap * YHAT / M


def hessian(t: float) -> Tensor:
    """From one that curves upwards along G to one that curves downwards."""
    return 0.1 * (ROOT + ROOT.T) + (1 - 2 * t) * torch.outer(G, G)


def largest(v: Tensor, g: Tensor, matrix: Tensor, gamma: float) -> float:
    """The size of Theorem 4.2's terms: gamma²/sigma² ‖v‖² (‖H‖ + ‖g‖ / (√m |gamma|))."""
    overlap = math.sqrt(square(g)) / math.sqrt(M) / abs(gamma)
    return gamma**2 / SIGMA**2 * square(v) * (math.sqrt(square(matrix)) + overlap)


def gamma_41(t: float) -> tuple[bool, float, float]:
    gamma = -SIGMA * (0.5 + t)
    found = theorem_4_1(Y, G, gamma)
    return found.assumptions["gamma_at_most_sigma"], abs(gamma) - SIGMA, SIGMA


def gamma_42(t: float) -> tuple[bool, float, float]:
    gamma = -SIGMA * (0.5 + t)
    return theorem_4_2(Y, G, ROOT, gamma).assumptions["gamma_at_most_sigma"], abs(gamma) - SIGMA, SIGMA


def overlap_41(t: float) -> tuple[bool, float, float]:
    g = gradient(t)
    return not theorem_4_1(Y, g, 0.7).assumptions["overlap_nonzero"], t, math.sqrt(M * square(g))


def overlap_42(t: float) -> tuple[bool, float, float]:
    g = gradient(0.3 - t)
    return theorem_4_2(Y, g, ROOT, 0.7).assumptions["overlap_nonnegative"], t - 0.3, math.sqrt(M * square(g))


def printed_41(t: float) -> tuple[bool, float, float]:
    g, gain = gradient(t), 0.49 / SIGMA**2
    return theorem_4_1(Y, g, 0.7).holds_printed, gain * t**2 * (M**-0.5 - 1 / M), gain * square(g)


def printed_44(t: float) -> tuple[bool, float, float]:
    found = theorem_4_4(Y, (2 - 1.9 * t) * G, 0.7, LAM)
    return found.holds_printed, found.lhs - found.rhs_printed, max(found.lhs, abs(found.rhs_printed))


def part_b(t: float) -> tuple[bool, float, float]:
    found = theorem_4_2(Y, G, hessian(t), 0.7)
    size = max(abs(found.lhs), abs(found.part_b_rhs), largest(found.v, G, hessian(t), 0.7))
    return found.part_b_holds, found.lhs - found.part_b_rhs, size


def rayleigh(t: float) -> tuple[bool, float, float]:
    found = theorem_4_2(Y, G, hessian(t), 0.7)
    vv, gg = square(found.v), square(G)
    size = math.sqrt(square(hessian(t))) * vv * gg
    return found.assumptions["rayleigh_condition"], found.curvature_v * gg - found.curvature_g * vv, size


def v_at_most_g(t: float) -> tuple[bool, float, float]:
    found = theorem_4_2(Y, G, ROOT, 0.1 + 20 * t)
    return found.assumptions["v_at_most_g"], square(found.v) - square(G), square(G)


def curvature_g(t: float) -> tuple[bool, float, float]:
    found = theorem_4_2(Y, G, hessian(t), 0.7)
    size = math.sqrt(square(hessian(t))) * square(G)
    return found.assumptions["curvature_g_nonnegative"], -found.curvature_g, size


def curvature_v(t: float) -> tuple[bool, float, float]:
    found = theorem_4_2(Y, G, hessian(t), 0.7)
    size = math.sqrt(square(hessian(t))) * square(found.v)
    return found.assumptions["curvature_v_nonnegative"], -found.curvature_v, size


def symmetric(t: float) -> tuple[bool, float, float]:
    matrix = hessian(0.0) + t * ROOT
    found = theorem_4_2(Y, G, matrix, 0.7)
    return found.assumptions["hessian_symmetric"], math.sqrt(square(matrix - matrix.T)), math.sqrt(square(matrix))


def printed_c1(t: float) -> tuple[bool, float, float]:
    """Strict: what differs by rounding alone is not smaller."""
    found = theorem_c_1(Y, G, hessian(1 - t), -0.7, LAM)
    size = max(abs(found.lhs), abs(found.rhs_printed), LAM**4 * largest(found.v, G, hessian(1 - t), 0.7))
    return not found.holds_printed, found.rhs_printed - found.lhs, size


def true_maxima_c1(t: float) -> tuple[bool, float, float]:
    """Strict, too."""
    matrix, gamma = hessian(1 - t), 0.7
    found = theorem_c_1(Y, G, matrix, gamma, LAM)
    overlap = math.fsum((G * YHAT).tolist())
    gain, kappa = gamma**2 / SIGMA**2, overlap * square(found.v) / (M * gamma)
    bound = gain * (found.maximum_plain - LAM**4 * kappa)
    size = max(abs(bound), found.maximum_normalized, LAM**4 * largest(found.v, G, matrix, gamma))
    return not found.holds_with_true_maxima, bound - found.maximum_normalized, size


def counterexample_c1(t: float) -> tuple[bool, float, float]:
    """With H = h I and a large h the form at v is nearly the largest."""
    matrix = 10 ** (9 - 9 * t) * torch.eye(M, dtype=torch.float64)
    found = theorem_c_1(Y, G, matrix, 0.7, LAM)
    size = LAM**4 * largest(found.v, G, matrix, 0.7)
    return found.counterexample is None, found.maximum_normalized - found.lhs, size


X = torch.randn(M, 2, dtype=torch.float64, generator=DRAWS) + 0.6
W = torch.tensor([0.8, -0.5], dtype=torch.float64)
COLUMNS, ONES = X.unbind(1), torch.ones(M, dtype=torch.float64)


def stationary(t: float) -> tuple[bool, float, float]:
    g = without(G, *COLUMNS) + t * X[:, 0]
    gap, size = math.sqrt(square(X.T @ g)), math.sqrt((square(X) + M) * square(g))
    return observation_4_3(X, W, g).assumptions["stationary"], gap, size


def bias_column(t: float) -> tuple[bool, float, float]:
    inputs = torch.stack([COLUMNS[0], 2 + t * R], 1)
    gap = math.sqrt(square(without(ONES, *inputs.unbind(1))))
    return observation_4_3(inputs, W, G).assumptions["bias_column"], gap, math.sqrt(M)


def stationary_part(t: float) -> tuple[bool, float, float]:
    g = 3 * X[:, 0] - X[:, 1] + t * without(G, *COLUMNS)
    gap = t * math.sqrt(square(without(G, *COLUMNS)))
    return not observation_4_3(X, W, g).assumptions["stationary_part_nonzero"], gap, math.sqrt(square(g))


def printed_43(t: float) -> tuple[bool, float, float]:
    """Stationary, and so is the normalized network but for a share t."""
    g = without(G, *COLUMNS, ONES) + t * without(R, *COLUMNS)
    found = observation_4_3(X, W, g)
    return found.holds_printed, found.lhs, math.sqrt((square(X) + M) * square(g))


def printed_45(t: float) -> tuple[bool, float, float]:
    w0, w_star = torch.tensor([[0.3 - t, 2.0], [1.5, 0.0]], dtype=torch.float64)
    found = lemma_4_5(w0, w_star)
    return found.holds_printed, found.lhs - found.rhs_printed, max(square(w0), square(w0 - w_star))


FAMILIES: list[Family] = [
    gamma_41, gamma_42, overlap_41, overlap_42, printed_41, printed_44, part_b, rayleigh, v_at_most_g, curvature_g,
    curvature_v, symmetric, printed_c1, true_maxima_c1, counterexample_c1, stationary, bias_column, stationary_part,
    printed_43, printed_45,
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES, ids=[family.__name__ for family in FAMILIES])
def test_a_verdict_turns_where_what_it_judges_is_a_billionth_of_its_size(family: Family) -> None:
    low, high = 0.0, 1.0
    assert (family(low)[0], family(high)[0]) == (True, False)
    for _ in range(70):  # to the spacing of float64
        middle = 0.5 * (low + high)
        low, high = (middle, high) if family(middle)[0] else (low, middle)
    for place in (low, high):
        _, difference, size = family(place)
        # differences of numbers of this size are right to about 1e-14 of it, of maxima found by bisection to 1e-12
        assert difference / size == pytest.approx(1e-9, rel=2e-3)
