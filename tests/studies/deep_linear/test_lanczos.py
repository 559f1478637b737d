"""The Lanczos iteration against a Krylov basis by Householder's QR, product by product."""

import math

import numpy as np
import pytest
import torch
from tests.studies.deep_linear.conftest import build_instance
from torch import Tensor

from normlab.studies.deep_linear.curvature import Product, TopEigenvalue, hessian, top_eigenvalue


def diagonal(entries: Tensor) -> Product:
    return lambda vector: vector * entries


def ritz(entries: np.ndarray, start: np.ndarray, products: int) -> tuple[float, float]:
    """The largest Ritz value after so many products, and ‖Hu − value u‖."""
    columns = np.stack([entries**power * start for power in range(products)], 1)
    basis, _ = np.linalg.qr(columns / np.linalg.norm(columns, axis=0))
    values, vectors = np.linalg.eigh(basis.T @ (entries[:, None] * basis))
    top = basis @ vectors[:, -1]
    return values[-1], float(np.linalg.norm(entries * top - values[-1] * top))


def drawn(seeds: int, size: int = 14) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return torch.randn(2, seeds, size, dtype=torch.float64, generator=generator).unbind(0)  # type: ignore[return-value]


def assert_ritz(found: TopEigenvalue, entries: Tensor, start: Tensor) -> None:
    for seed in range(len(entries)):
        value, residual = ritz(entries[seed].numpy(), start[seed].numpy(), found.products)
        # a basis of powers has a condition of up to 1e5 after seven products
        assert found.values[seed].item() == pytest.approx(value, rel=1e-8)
        assert found.residuals[seed].item() == pytest.approx(residual, rel=1e-6)


@pytest.mark.parametrize("products", [1, 2, 4, 5, 7])
def test_values_and_residuals_after_every_budget_are_those_of_the_krylov_space(products: int) -> None:
    entries, start = drawn(2)
    found = top_eigenvalue(diagonal(entries), start, products, tolerance=0.0)
    assert found.products == products
    assert_ritz(found, entries, start)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_ends_at_the_first_fifth_product_where_every_residual_is_small(sign: float) -> None:
    """Of a Hessian whose largest eigenvalue is negative, too."""
    entries, start = drawn(2)
    entries = sign * (2 + entries.abs())
    after = {
        count: [ritz(e.numpy(), s.numpy(), count) for e, s in zip(entries, start, strict=True)] for count in (5, 10)
    }
    worst = {count: max(residual / abs(value) for value, residual in found) for count, found in after.items()}
    assert worst[10] < worst[5] / 2
    for tolerance, products in ((1.01 * worst[5], 5), (0.99 * worst[5], 10), (1.01 * worst[10], 10)):
        found = top_eigenvalue(diagonal(entries), start, 12, tolerance)
        assert found.products == products, tolerance
    assert top_eigenvalue(diagonal(entries), start, 7, 0.99 * worst[5]).products == 7  # the budget ends it
    assert top_eigenvalue(diagonal(entries), start, 12, 0.5 * worst[10]).products == 12
    # one seed alone is done
    least = min(residual / abs(value) for value, residual in after[5])
    assert least < 0.9 * worst[5]
    assert top_eigenvalue(diagonal(entries), start, 12, 1.01 * least).products > 5


def test_every_product_is_of_a_vector_of_length_one_at_a_right_angle_to_all_before() -> None:
    """One eigenvalue far above the others: what is left of a product is a millionth of it, and its rounding too."""
    slow = torch.linspace(-1.0, 1.0, 31, dtype=torch.float64)  # is not done before all products are spent
    entries = torch.stack([torch.cat([1.5 + slow[:30] / 2, torch.tensor([1e6]).double()]), slow])
    asked: list[Tensor] = []

    def product(vector: Tensor) -> Tensor:
        asked.append(vector)
        return vector * entries

    top_eigenvalue(product, torch.ones_like(entries), 25, tolerance=0.0)
    assert len(asked) == 25
    basis = torch.stack(asked, 1)
    # a few roundings of sums of 31 numbers
    eye = torch.eye(25, dtype=torch.float64).expand(2, 25, 25)
    torch.testing.assert_close(basis @ basis.mT, eye, rtol=0, atol=1e-14)


def test_without_a_product_nothing_is_known() -> None:
    found = top_eigenvalue(diagonal(torch.ones(2, 3).double()), torch.ones(2, 3).double(), 0)
    assert found.products == 0
    assert found.values.isnan().tolist() == found.residuals.isnan().tolist() == [True, True]


@pytest.mark.parametrize("broken", [math.inf, 1e200])
def test_a_seed_whose_products_overflow_holds_up_nobody(broken: float) -> None:
    """At 1e200 the form uᵀHu is 0, and only the length of Hu is infinite."""
    calm = torch.diag(torch.tensor([3.0, 1.0, 2.0]).double())
    wild = torch.tensor([[0.0, broken, 0.0], [broken, 0.0, 0.0], [0.0, 0.0, 0.0]]).double()
    matrices = torch.stack([calm, wild])
    start = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]).double()
    for products in (1, 3):
        found = top_eigenvalue(lambda v: (matrices @ v[..., None])[..., 0], start, products)
        assert found.values[0].isfinite()
        assert (found.values[1].isnan(), found.residuals[1].isnan()) == (True, True)
    assert found.values[0].item() == pytest.approx(3.0, rel=1e-12)  # the whole space


@pytest.mark.parametrize("budget", [2, 3, 4, 5, 60])
def test_where_the_space_is_exhausted_the_value_stays(budget: int) -> None:
    """Of two layers with one feature there are two parameters: two products say all."""
    instance = build_instance("none", depth=2, features=1, samples=9)
    start = torch.randn(instance.params.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    product = hessian(instance.network, instance.problem, instance.params)
    columns = [product(torch.eye(2, dtype=torch.float64)[place].expand_as(start)) for place in range(2)]
    largest = torch.linalg.eigvalsh(torch.stack(columns, 1))[:, -1]
    found = top_eigenvalue(product, start, budget)
    torch.testing.assert_close(found.values, largest, rtol=1e-12, atol=0.0)  # a few roundings
    assert (found.residuals <= 1e-12 * largest).all()


@pytest.mark.parametrize("value", [0.0, -3.0, 2.0])
def test_a_hessian_of_one_eigenvalue_is_known_after_one_product(value: float) -> None:
    found = top_eigenvalue(lambda v: value * v, torch.ones(2, 4, dtype=torch.float64), 7)
    torch.testing.assert_close(found.values, torch.full((2,), value, dtype=torch.float64), rtol=1e-15, atol=0.0)
