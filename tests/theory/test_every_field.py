"""Every number of the statements about one unit, from sums over lists of plain numbers."""

import math

import pytest
import torch

from normlab.theory import theorem_4_1, theorem_4_2, theorem_4_4, theorem_c_1

M = 5
CLOSE = {"rel": 1e-10, "abs": 1e-12}  # sums of five to fifty float64 numbers, added in two ways


class Plain:
    """A unit in lists: y, g and a symmetric H of five samples."""

    def __init__(self, seed: int, definite: bool) -> None:
        draws = torch.Generator().manual_seed(seed)
        y, g = torch.randn(2, M, dtype=torch.float64, generator=draws)
        root = torch.randn(M, M, dtype=torch.float64, generator=draws)
        self.hessian = root @ root.T if definite else root + root.T
        self.y, self.g = 1.5 * y - 0.4, g
        self.gamma = (-1) ** seed * math.exp(torch.randn((), generator=draws).item())
        ys, gs = self.y.tolist(), g.tolist()
        mu = math.fsum(ys) / M
        self.sigma = math.sqrt(math.fsum((value - mu) ** 2 for value in ys) / M)
        hats = [(value - mu) / self.sigma for value in ys]
        self.overlap = math.fsum(a * b for a, b in zip(gs, hats, strict=True))
        self.gain = self.gamma**2 / self.sigma**2
        mean = math.fsum(gs) / M
        self.v = [self.gamma / self.sigma * (a - mean - b * self.overlap / M) for a, b in zip(gs, hats, strict=True)]
        self.vv, self.gg = math.fsum(a * a for a in self.v), math.fsum(a * a for a in gs)
        self.vhv, self.ghg = self.form(self.v), self.form(gs)
        self.kappa = self.overlap * self.vv / (M * self.gamma)

    def form(self, u: list[float]) -> float:
        rows = self.hessian.tolist()
        return math.fsum(u[i] * rows[i][j] * u[j] for i in range(M) for j in range(M))


@pytest.fixture(params=[(seed, definite) for seed in range(6) for definite in (True, False)])
def plain(request: pytest.FixtureRequest) -> Plain:
    return Plain(*request.param)


def test_theorems_about_the_gradient(plain: Plain) -> None:
    found = theorem_4_1(plain.y, plain.g, plain.gamma)
    assert found.v.tolist() == pytest.approx(plain.v, **CLOSE)
    assert found.lhs == pytest.approx(plain.vv, **CLOSE)
    assert found.gradient_bound == pytest.approx(abs(plain.gamma) / plain.sigma * math.sqrt(plain.gg), **CLOSE)
    assert (found.overlap, found.sigma) == pytest.approx((plain.overlap, plain.sigma), **CLOSE)
    assert found.assumptions == {"gamma_at_most_sigma": abs(plain.gamma) <= plain.sigma, "overlap_nonzero": True}
    lam = 1.7
    largest = theorem_4_4(plain.y, plain.g, plain.gamma, lam)
    assert largest.v.tolist() == pytest.approx(plain.v, **CLOSE)
    assert largest.g_max == pytest.approx(lam**2 * plain.gg, **CLOSE)
    assert largest.lhs == pytest.approx(lam**2 * plain.vv, **CLOSE)
    assert largest.maximizer.shape == (M, 1)
    assert largest.maximizer[:, 0].tolist() == pytest.approx([lam * a / math.sqrt(plain.vv) for a in plain.v], **CLOSE)
    assert largest.assumptions == found.assumptions
    assert largest.holds_printed == (largest.lhs <= largest.rhs_printed)


def test_theorem_about_the_curvature_along_the_gradient(plain: Plain) -> None:
    found = theorem_4_2(plain.y, plain.g, plain.hessian, plain.gamma)
    side = plain.gain * (plain.vhv - plain.kappa)
    scale = {"rel": 1e-10, "abs": 1e-10 * plain.gain * plain.vv * plain.hessian.norm().item()}  # the terms may cancel
    assert found.v.tolist() == pytest.approx(plain.v, **CLOSE)
    assert (found.lhs, found.rhs_printed, found.rhs_corrected) == pytest.approx((side, side, side), **scale)
    assert (found.curvature_v, found.curvature_g) == pytest.approx((plain.vhv, plain.ghg), **CLOSE)
    assert found.overlap == pytest.approx(plain.overlap, **CLOSE)
    bound = plain.gain * (plain.ghg - plain.kappa)
    assert found.part_b_rhs == pytest.approx(bound, **CLOSE)
    assert found.part_b_holds == (side <= bound)
    rayleigh, smaller, up = plain.vhv * plain.gg <= plain.ghg * plain.vv, plain.vv <= plain.gg, plain.ghg >= 0
    assert found.part_b_assumptions == (rayleigh and smaller and up)
    assert found.assumptions == {
        "rayleigh_condition": rayleigh,
        "v_at_most_g": smaller,
        "curvature_g_nonnegative": up,
        "curvature_v_nonnegative": plain.vhv >= 0,
        "overlap_nonnegative": plain.overlap >= 0,
        "gamma_at_most_sigma": abs(plain.gamma) <= plain.sigma,
        "hessian_symmetric": True,
    }


def test_theorem_about_the_curvature_in_the_weights(plain: Plain) -> None:
    lam = 0.8
    found = theorem_c_1(plain.y, plain.g, plain.hessian, plain.gamma, lam)
    factor = lam**4 * plain.gain
    scale = {"rel": 1e-9, "abs": 1e-10 * factor * plain.vv * plain.hessian.norm().item()}
    assert found.lhs == pytest.approx(factor * (plain.vhv - plain.kappa), **scale)
    assert found.rhs_corrected == pytest.approx(factor * (plain.vhv - plain.kappa), **scale)
    assert found.rhs_printed == pytest.approx(factor * (plain.ghg - plain.kappa), **scale)
    assert found.holds_printed == (plain.vhv < plain.ghg)
    assert found.v.tolist() == pytest.approx(plain.v, **CLOSE)
    # the largest form over the ball between 0 and g, by trying points of its sphere and 0
    draws = torch.randn(100_000, M, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    points = 0.5 * plain.g + 0.5 * math.sqrt(plain.gg) * draws / draws.norm(dim=1, keepdim=True)
    best = lam**4 * max(0.0, ((points @ plain.hessian) * points).sum(1).max().item())
    # the nearest of 100,000 points on this sphere is about 0.1 of its radius away: 1 % of the form's size
    room = lam**4 * 0.02 * plain.gg * plain.hessian.norm().item()
    assert best - 1e-12 <= found.maximum_plain <= best + room
    bound = plain.gain * (found.maximum_plain - lam**4 * plain.kappa)
    assert found.holds_with_true_maxima == (found.maximum_normalized < bound)
    assert found.assumptions == theorem_4_2(plain.y, plain.g, plain.hessian, plain.gamma).assumptions
