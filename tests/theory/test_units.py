"""What is said of numbers does not depend on the units they are in, and what is off by little is told from rounding."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from normlab.theory import lemma_4_5, observation_4_3, theorem_4_1, theorem_4_2, theorem_4_4, theorem_c_1

FACTORS = (2.0**-40, 2.0**40)  # powers of two: every product is scaled without rounding


def draw(seed: int, m: int = 7) -> tuple[Tensor, Tensor, Tensor, float]:
    generator = torch.Generator().manual_seed(seed)
    y, g = torch.randn(2, m, dtype=torch.float64, generator=generator)
    root = torch.randn(m, m, dtype=torch.float64, generator=generator)
    return y + 0.3, g, root + root.T, math.exp(torch.randn((), generator=generator).item())


def said(result: Any) -> dict[str, Any]:
    """All verdicts and assumptions."""
    found = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {name: value for name, value in found.items() if isinstance(value, bool | dict)}


# name → the statement of (y, g, hessian, gamma); the powers of the loss's and of the outputs' unit in its two sides
OF_A_UNIT: dict[str, tuple[Callable[..., Any], int, int]] = {
    "4.1": (lambda y, g, h, gamma: theorem_4_1(y, g, gamma), 2, -2),
    "4.2": (theorem_4_2, 3, -4),
    "C.1": (lambda y, g, h, gamma: theorem_c_1(y, g, h, gamma, 0.7), 3, -4),
}


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", OF_A_UNIT)
def test_of_the_loss_and_of_the_outputs(name, factor):
    """L in other units: g and H scale alike. Outputs in other units: y and gamma, g and H the other way round."""
    statement, of_loss, of_outputs = OF_A_UNIT[name]
    for seed in range(10):
        y, g, hessian, gamma = draw(seed)
        plain = statement(y, g, hessian, gamma)
        loss = statement(y, factor * g, factor * hessian, gamma)
        outputs = statement(factor * y, g / factor, hessian / factor**2, factor * gamma)
        assert said(loss) == said(plain)
        assert said(outputs) == said(plain)
        for field in ("lhs", "rhs_printed", "rhs_corrected"):
            value = getattr(plain, field)
            # eigenvalues and roots are not exact under a scaling
            assert getattr(loss, field) == pytest.approx(factor**of_loss * value, rel=1e-12)
            assert getattr(outputs, field) == pytest.approx(factor**of_outputs * value, rel=1e-12)


@pytest.mark.parametrize("factor", FACTORS)
def test_of_the_loss_in_theorem_4_4_as_corrected(factor):
    """As printed it depends on the units, which is what is wrong with it; as corrected it does not."""
    for seed in range(10):
        y, g, _, gamma = draw(seed)
        plain, scaled = (theorem_4_4(y, gradient, gamma, 1.7) for gradient in (g, factor * g))
        assert scaled.holds_corrected
        assert plain.holds_corrected
        assert scaled.assumptions == plain.assumptions
        assert scaled.lhs == pytest.approx(factor**2 * plain.lhs, rel=1e-12)  # of a root, squared
        assert scaled.rhs_corrected == pytest.approx(factor**2 * plain.rhs_corrected, rel=1e-12)  # of a mean, squared


@pytest.mark.parametrize("lam", [2.0**-10, 2.0**10])
def test_of_the_radius_in_theorem_c_1(lam):
    """All its sides have the factor lam⁴, and so has the size that their rounding is judged against."""
    for seed in range(10):
        plain, scaled = (theorem_c_1(*draw(seed), radius) for radius in (1.0, lam))
        assert said(scaled) == said(plain)
        for field in ("lhs", "rhs_printed", "rhs_corrected", "maximum_normalized", "maximum_plain"):
            assert getattr(scaled, field) == lam**4 * getattr(plain, field)
        assert (scaled.counterexample is None) == (plain.counterexample is None)


@pytest.mark.parametrize("factor", FACTORS)
def test_of_inputs_weights_and_loss_in_observation_4_3(factor):
    generator = torch.Generator().manual_seed(4)
    X, w, g = (torch.randn(size, dtype=torch.float64, generator=generator) for size in ((12, 3), (3,), (12,)))
    plain = observation_4_3(X, w, g)
    assert (plain.holds_printed, plain.holds_corrected) == (False, True)
    assert said(observation_4_3(X, w, factor * g)) == said(plain)
    assert said(observation_4_3(X, factor * w, g)) == said(plain)


@pytest.mark.parametrize("factor", FACTORS)
def test_of_the_weights_in_lemma_4_5(factor):
    for seed in range(10):
        w0, w_star = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        plain, scaled = lemma_4_5(w0, w_star), lemma_4_5(factor * w0, factor * w_star)
        assert said(scaled) == said(plain)
        assert (scaled.scale, scaled.lhs) == (plain.scale, pytest.approx(factor**2 * plain.lhs, rel=1e-12))
        torch.testing.assert_close(scaled.nearest, factor * plain.nearest, rtol=0, atol=0)


def centred(seed: int, m: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, their normalized form, and a gradient of length 1 that is orthogonal to it and to the ones."""
    y, g, _, _ = draw(seed, m)
    yhat = (y - y.mean()) / y.std(unbiased=False)
    g = g - g.mean() - yhat * (g @ yhat) / m
    return y, yhat, g / g.norm()


@pytest.mark.parametrize(("share", "holds"), [(1e-7, False), (1e-11, True)])
def test_a_printed_form_that_is_off_by_little(share, holds):
    """Theorem 4.1: what is printed is too small by <g, yhat>² (1/√m − 1/m), here a share of ‖g‖² = 1."""
    y, yhat, g = centred(3)
    m = len(y)
    g = g + yhat / m * math.sqrt(share / (1 / math.sqrt(m) - 1 / m))
    for gamma in (0.01, 100.0):
        found = theorem_4_1(y, g, gamma)
        assert found.holds_printed is holds
        assert found.holds_corrected


@pytest.mark.parametrize(("share", "holds"), [(1e-6, False), (1e-12, True)])
def test_part_b_that_is_off_by_little(share, holds):
    """Theorem 4.2 with H along g and γ = σ: v'Hv − g'Hg is the share by which g's part along yhat counts less."""
    y, yhat, g = centred(5)
    m, sigma = len(y), y.std(unbiased=False).item()
    hessian = torch.outer(g, g) - share * torch.outer(yhat, yhat) / m
    # g gets a part along yhat of squared length 1, on which v has none: g'Hg falls by the share
    along = yhat / math.sqrt(m)
    found = theorem_4_2(y, g + along, hessian, sigma)
    assert found.curvature_v - found.curvature_g == pytest.approx(share, rel=1e-3)  # of numbers of size 1
    assert found.part_b_holds is holds
    assert found.assumptions["v_at_most_g"]
    assert found.holds_corrected


@pytest.mark.parametrize(("share", "symmetric"), [(1e-7, False), (1e-11, True)])
def test_a_hessian_that_is_symmetric_but_for_rounding(share, symmetric):
    y, g, hessian, gamma = draw(2)
    for factor in FACTORS:
        skewed = hessian.clone()
        skewed[0, 1] += share * hessian.norm()
        found = theorem_4_2(y, factor * g, factor * skewed, gamma)
        assert found.assumptions["hessian_symmetric"] is symmetric


@pytest.mark.parametrize(("share", "holds"), [(1e-4, False), (1e-6, True)])
def test_lemma_4_5_beyond_a_right_angle_by_little(share, holds):
    """With <w0, w*> = −share the end of the ray is nearer than what is printed says, by share² / ‖w*‖²."""
    w0 = torch.tensor([-share, 1.0], dtype=torch.float64)
    found = lemma_4_5(w0, torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert found.lhs - found.rhs_printed == pytest.approx(share**2, rel=1e-3, abs=1e-15)  # of numbers of size 1
    assert found.holds_printed is holds
    assert found.holds_corrected


@pytest.mark.parametrize("factor", [1.0, *FACTORS])
def test_corrected_forms_hold_where_nearly_everything_cancels(factor):
    """v is a millionth of g; or v'Hv is what is taken from it: either leaves the rounding of the terms alone."""
    for seed in range(10):
        y, yhat, g = centred(seed)
        _, _, _, gamma = draw(seed)
        large = factor * (1e-6 * g + 3.0 + 2.0 * yhat)
        assert theorem_4_1(y, large, gamma).holds_corrected
        assert theorem_4_4(y, large, gamma, 1.7).holds_corrected
        part = factor * (g + 2.0 * yhat)
        # <g, yhat> / (m gamma) = 2 / gamma
        hessian = factor * 2.0 / gamma * torch.eye(len(y), dtype=torch.float64)
        found = theorem_4_2(y, part, hessian, gamma)
        assert abs(found.lhs) < 1e-13 * abs(found.curvature_v) * (gamma / y.std(unbiased=False).item()) ** 2
        assert (found.holds_printed, found.holds_corrected) == (True, True)
        assert theorem_c_1(y, part, hessian, gamma, 1.7).holds_corrected
