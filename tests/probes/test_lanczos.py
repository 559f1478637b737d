"""Lanczos on matrices whose eigenvalues are known."""

import math

import pytest
import torch
from torch import Tensor

from normlab.probes.lanczos import RitzValues, largest_eigenvalues


def solve(eigenvalues: Tensor, k: int, *, tol: float = 1e-6, max_products: int = 200, seed: int = 0) -> RitzValues:
    """Lanczos on Q·diag(eigenvalues)·Qᵀ with a random rotation Q."""
    draws = torch.Generator().manual_seed(seed)
    n = len(eigenvalues)
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=draws, dtype=eigenvalues.dtype))
    matrix = q @ torch.diag(eigenvalues) @ q.T

    def draw() -> Tensor:
        return torch.randn(n, generator=draws, dtype=eigenvalues.dtype)

    return largest_eigenvalues(lambda v: matrix @ v, draw(), draw, k, tol, max_products)


@pytest.mark.parametrize(
    ("eigenvalues", "k"),
    [
        ([3.0, 1.0, -7.0], 1),  # algebraic, not by size
        ([3.0, 1.0, -7.0], 3),  # as many as there are
        ([-1.0, -2.0, -5.0], 2),  # all negative
        ([2.0] * 5, 3),  # one eigenvalue, repeated: the Krylov space closes at once
        ([4.0, 4.0, 4.0, 1.0, 1.0, 0.0, 0.0, 0.0], 5),
        ([0.0] * 4, 2),  # no curvature at all
        ([1.0, *[0.0] * 9], 4),  # rank one
        ([5.0], 1),
    ],
)
def test_small_matrices_are_exact(eigenvalues: list[float], k: int) -> None:
    found = solve(torch.tensor(eigenvalues, dtype=torch.float64), k)
    assert found.converged
    assert found.values == pytest.approx(sorted(eigenvalues, reverse=True)[:k], abs=1e-9)  # float64, norms below 10
    assert all(0 <= r < 1e-6 for r in found.residuals)


@pytest.mark.parametrize("seed", range(4))
def test_repeated_eigenvalues_of_a_larger_matrix_are_found(seed: int) -> None:
    # as in a linear layer under a square loss: every eigenvalue once an output
    bulk = torch.linspace(0, 1, 130, dtype=torch.float64)
    spectrum = torch.cat([torch.tensor([10.0, 8.0, 5.0], dtype=torch.float64), bulk]).repeat_interleave(3)
    found = solve(spectrum, 4, tol=1e-4, seed=seed)
    assert found.converged
    assert found.products < len(spectrum) / 2
    assert found.values == pytest.approx([10, 10, 10, 8], rel=1e-6)  # errors are quadratic in the residual


def test_residual_bounds_the_error_and_the_limit_is_kept() -> None:
    spectrum = torch.linspace(0, 1, 300, dtype=torch.float64) ** 2
    found = solve(spectrum, 2, tol=1e-12, max_products=12)
    assert found.products == 12
    assert not found.converged
    assert any("not converged within 12 products" in note for note in found.notes)
    for value, residual in zip(found.values, found.residuals, strict=True):
        assert (spectrum - value).abs().min() <= residual


def test_convergence_means_small_residuals_relative_to_the_value() -> None:
    # a huge negative eigenvalue must not hide the top one in its shadow
    spectrum = torch.cat([torch.tensor([-1000.0]), torch.linspace(0, 0.1, 60)]).double()
    found = solve(spectrum, 1, tol=1e-3)
    assert found.converged
    assert found.values[0] == pytest.approx(0.1, rel=1e-3)
    assert found.residuals[0] <= 1e-3 * 0.1


def test_float32_reaches_its_own_precision() -> None:
    found = solve(torch.linspace(-1, 5, 80), 1, tol=1e-4)
    assert found.converged
    assert found.values[0] == pytest.approx(5.0, rel=1e-5)


def test_products_that_are_not_symmetric_are_remarked() -> None:
    draws = torch.Generator().manual_seed(0)
    matrix = torch.randn(30, 30, generator=draws, dtype=torch.float64)

    def draw() -> Tensor:
        return torch.randn(30, generator=draws, dtype=torch.float64)

    found = largest_eigenvalues(lambda v: matrix @ v, draw(), draw, 1, 1e-3, 10)
    assert any("not symmetric" in note for note in found.notes)
    assert not solve(torch.linspace(0, 1, 30), 1, tol=0.0, max_products=10).notes[:-1]


def test_non_finite_products_are_a_result() -> None:
    found = largest_eigenvalues(lambda v: v * math.nan, torch.ones(3), lambda: torch.ones(3), 2, 1e-3, 10)
    assert all(map(math.isnan, found.values))
    assert not found.converged
    assert any("not finite" in note for note in found.notes)
