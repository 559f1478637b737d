"""The exact maximum over the ball between 0 and v, against dense search and the hard cases."""

import math

import pytest
import torch
from torch import Tensor

from normlab.theory.ball import maximize_in_ball


def diagonal(*values: float) -> Tensor:
    return torch.diag(torch.tensor(values, dtype=torch.float64))


def check_member(u: Tensor, v: Tensor) -> None:
    # the ball is {u: ||u||^2 <= <u, v>}; rounding of a few operations
    assert (u @ u).item() <= (u @ v).item() + 1e-12 * (v @ v).item()


@pytest.mark.parametrize("seed", range(8))
def test_against_all_directions_in_the_plane(seed):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(2, 2, dtype=torch.float64, generator=generator)
    v = torch.randn(2, dtype=torch.float64, generator=generator)
    u, value = maximize_in_ball(matrix, v)
    check_member(u, v)
    assert (u @ matrix @ u).item() == pytest.approx(value, abs=1e-13)
    angles = torch.linspace(0, 2 * math.pi, 20001, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    best = -math.inf
    for radius in (0.0, 0.25, 0.5, 0.75, 1.0):
        points = 0.5 * v + 0.5 * v.norm() * radius * circle
        best = max(best, ((points @ matrix) * points).sum(1).max().item())
    # a grid of 3e-4 rad misses a smooth maximum by its square
    assert best - 1e-12 <= value
    if value > 0:
        assert value <= best + 1e-6 * (v @ v).item()


@pytest.mark.parametrize("m", [3, 40])
def test_stationarity_on_the_sphere(m):
    generator = torch.Generator().manual_seed(m)
    root = torch.randn(m, m, dtype=torch.float64, generator=generator)
    matrix, v = root @ root.T, torch.randn(m, dtype=torch.float64, generator=generator)
    u, _ = maximize_in_ball(matrix, v)
    normal = u - 0.5 * v
    assert normal.norm().item() == pytest.approx(0.5 * v.norm().item(), rel=1e-10)
    gradient = matrix @ u
    # outward gradient, parallel to the normal: bisection leaves about 1e-13
    assert (gradient @ normal / gradient.norm() / normal.norm()).item() == pytest.approx(1.0, abs=1e-10)


def test_negative_definite_matrix_has_its_maximum_at_zero():
    u, value = maximize_in_ball(diagonal(-1.0, -3.0), torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert value == 0.0
    assert not u.any()


def test_hard_case_with_nothing_along_the_top_direction():
    # u = (1/2 + x, y) with x^2 + y^2 <= 1/4: maximize (1/2 + x)^2 + 4 y^2; x = 1/6, y^2 = 2/9 gives 4/9 + 8/9
    u, value = maximize_in_ball(diagonal(1.0, 4.0), torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert value == pytest.approx(4 / 3, rel=1e-12)
    assert u[0].item() == pytest.approx(2 / 3, rel=1e-12)


def test_nothing_along_the_top_direction_and_the_sphere_is_reached_without_it():
    # as above with 1.1 for 4: on the circle (1/2 + x)^2 + 1.1 (1/4 - x^2) grows up to x = 1/2
    v = torch.tensor([1.0, 0.0], dtype=torch.float64)
    u, value = maximize_in_ball(diagonal(1.0, 1.1), v)
    assert value == pytest.approx(1.0, rel=1e-12)
    torch.testing.assert_close(u, v, rtol=0, atol=1e-9)


def test_identity_zero_and_zero_vector():
    v = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert maximize_in_ball(diagonal(1.0, 1.0), v)[1] == pytest.approx(25.0, rel=1e-13)
    assert maximize_in_ball(diagonal(0.0, 0.0), v)[1] == 0.0
    assert maximize_in_ball(diagonal(1.0, 1.0), 0 * v)[1] == 0.0


@pytest.mark.parametrize("length", [1e-3, 1.0, 2.0, 1e3])
def test_of_a_vector_of_any_length_along_an_eigenvector(length):
    """u = t v with t in [0, 1] is best along v: the eigenvalue times the square of the length, or 0."""
    v = torch.tensor([length, 0.0, 0.0], dtype=torch.float64)
    u, value = maximize_in_ball(diagonal(5.0, -2.0, 1.0), v)
    assert value == pytest.approx(5.0 * length**2, rel=1e-12)
    torch.testing.assert_close(u, v, rtol=1e-7, atol=1e-7 * length)  # flat at the maximum
    assert maximize_in_ball(diagonal(-5.0, -2.0, -3.0), v)[1] == 0.0


def test_small_and_large_matrices_have_the_same_maximizer():
    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    v = torch.randn(6, dtype=torch.float64, generator=generator)
    u, value = maximize_in_ball(matrix, v)
    for factor in (2.0**-60, 2.0**60):
        scaled, scaled_value = maximize_in_ball(factor * matrix, v)
        # eigenvectors and bisection are right to rounding
        torch.testing.assert_close(scaled, u, rtol=1e-9, atol=1e-9)
        assert scaled_value == pytest.approx(factor * value, rel=1e-12)
