"""Every number of the statements about optima, from sums over lists of plain numbers."""

import math
from typing import Any

import pytest
import torch

from normlab.theory import lemma_4_5, observation_4_3

M = 6
Vector = list[float]


def close(expected: Any) -> Any:
    """Sums of six to twenty float64 numbers, added in two ways."""
    return pytest.approx(expected, rel=1e-10, abs=1e-12)


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def without(vector: Vector, columns: list[Vector]) -> Vector:
    """What is left beside the columns: Gram-Schmidt, twice; a column that the others make up is passed over."""
    basis: list[Vector] = []
    for column in columns:
        left = column
        for _ in range(2):
            for unit in basis:
                share = dot(left, unit)
                left = [x - share * u for x, u in zip(left, unit, strict=True)]
        length = math.sqrt(dot(left, left))
        if length > 1e-10 * math.sqrt(dot(column, column)):
            basis.append([x / length for x in left])
    for _ in range(2):
        for unit in basis:
            share = dot(vector, unit)
            vector = [x - share * u for x, u in zip(vector, unit, strict=True)]
    return vector


def weight_gradient(columns: list[Vector], v: Vector) -> float:
    """‖X'v‖."""
    return math.sqrt(math.fsum(dot(column, v) ** 2 for column in columns))


class Plain:
    """A layer of two inputs or three, the third a bias or a copy, and Fact C.1 at gamma = sigma in lists."""

    def __init__(self, seed: int, third: str) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.x = torch.randn(M, 2, dtype=torch.float64, generator=draws) + 0.5
        further = {"bias": torch.ones(M, 1).double(), "copy": 3 * self.x[:, :1], "zero": torch.zeros(M, 1).double()}
        if third:
            self.x = torch.cat([self.x, further[third]], 1)
        self.w = torch.randn(self.x.shape[1], dtype=torch.float64, generator=draws)
        self.g = torch.randn(M, dtype=torch.float64, generator=draws)
        self.columns: list[Vector] = self.x.T.tolist()
        y = [dot(row, self.w.tolist()) for row in self.x.tolist()]
        self.mu = math.fsum(y) / M
        self.sigma = math.sqrt(math.fsum((value - self.mu) ** 2 for value in y) / M)
        self.yhat = [(value - self.mu) / self.sigma for value in y]

    def v(self, g: Vector) -> Vector:
        mean, share = math.fsum(g) / M, dot(g, self.yhat) / M
        return [a - mean - share * b for a, b in zip(g, self.yhat, strict=True)]


@pytest.mark.parametrize("third", ["", "bias", "copy", "zero"])
@pytest.mark.parametrize("seed", range(4))
def test_observation_4_3(seed: int, third: str) -> None:
    plain = Plain(seed, third)
    found = observation_4_3(plain.x, plain.w, plain.g)
    g, ones = plain.g.tolist(), [1.0] * M
    biased = [*plain.columns, ones]
    left, left_with_bias = without(g, plain.columns), without(g, biased)
    direction = [math.fsum(column) - plain.mu / plain.sigma * dot(column, plain.yhat) for column in plain.columns]
    corrected = abs(math.fsum(left)) / M * math.sqrt(dot(direction, direction))
    lhs = weight_gradient(plain.columns, plain.v(left))
    assert (found.lhs, found.rhs_printed, found.rhs_corrected) == close((lhs, 0.0, corrected))
    assert found.normalized_gradient_without_bias == found.lhs
    assert found.plain_gradient == close(weight_gradient(plain.columns, g))
    assert found.normalized_gradient == close(weight_gradient(plain.columns, plain.v(g)))
    assert found.plain_gradient_without_bias == close(0.0)
    assert found.plain_gradient_with_bias == close(0.0)
    assert found.normalized_gradient_with_bias == close(weight_gradient(biased, plain.v(left_with_bias)))
    assert found.assumptions == {
        "stationary": False, "bias_column": third == "bias", "stationary_part_nonzero": True
    }  # fmt: skip
    assert (found.holds_printed, found.holds_corrected) == (third == "bias", True)
    assert 0 <= found.activation_gap < 1e-14
    # of a stationary gradient alone: the same sides, as its stationary part is itself
    again = observation_4_3(plain.x, plain.w, torch.tensor(left, dtype=torch.float64))
    assert again.assumptions["stationary"]
    assert (again.lhs, again.normalized_gradient) == close((lhs, lhs))


@pytest.mark.parametrize("inner", [1.5, 1e-3, 0.0, -1e-3, -1.5])
def test_lemma_4_5_on_either_side_of_a_right_angle(inner: float) -> None:
    w_star, w0 = [2.0, 0.0, 0.0], [inner / 2, 1.0, -3.0]
    found = lemma_4_5(*(torch.tensor(vector, dtype=torch.float64) for vector in (w0, w_star)))
    way = [a - b for a, b in zip(w0, w_star, strict=True)]
    printed = dot(way, way) - (4.0 - inner) ** 2 / 4.0
    nearest = max(inner, 0.0) / 4.0
    assert found.inner_product == close(inner)
    assert found.scale == close(inner / 4.0)
    assert found.nearest.tolist() == close([2 * nearest, 0.0, 0.0])
    assert found.lhs == close((w0[0] - 2 * nearest) ** 2 + 10.0)
    assert found.rhs_printed == close(printed)
    assert found.rhs_corrected == close(10.0 if inner > 0 else dot(w0, w0))
    assert found.assumptions == {"positive_inner_product": inner > 0}
    assert (found.holds_printed, found.holds_corrected) == (inner >= 0, True)


def test_a_length_beyond_all_numbers_is_infinite() -> None:
    """X'g adds up products that overflow to both sides."""
    x = torch.tensor([[1e200, 1.0], [1e200, 2.0], [-1e200, 4.0]], dtype=torch.float64)
    g = torch.tensor([1e200, -1e200, 0.5], dtype=torch.float64)
    found = observation_4_3(x, torch.tensor([1e-200, 1.0], dtype=torch.float64), g)
    assert found.plain_gradient == math.inf
