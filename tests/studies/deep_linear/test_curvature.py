"""Hessian products and the top eigenvalue against the full Hessian of the module."""

import pytest
import torch
from tests.studies.deep_linear.conftest import Instance
from tests.studies.deep_linear.twin import build_twin, half_squared_error, ordered
from torch import Tensor

from normlab.studies.deep_linear.curvature import directional_curvature, hessian, top_eigenvalue


def full_hessian(instance: Instance, seed: int) -> Tensor:
    """Row by row, by differentiating the module's gradient."""
    twin = build_twin(instance.network, instance.params[seed])
    parameters = ordered(twin)
    gradients = torch.autograd.grad(half_squared_error(twin, instance.batch(seed)), parameters, create_graph=True)
    entries = torch.cat([g.flatten() for g in gradients])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True) for entry in entries]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def test_products_curvature_and_top_eigenvalue_are_those_of_the_full_hessian(instance: Instance):
    _, gradient = instance.gradient()
    product = hessian(instance.network, instance.problem, instance.params)
    vectors = torch.randn(gradient.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    images = product(vectors)
    along = directional_curvature(product, gradient)
    top = top_eigenvalue(product, vectors, max_products=40, tolerance=1e-9)
    for seed in range(3):
        matrix = full_hessian(instance, seed)
        g = gradient[seed]
        # second derivatives by another order of products
        torch.testing.assert_close(images[seed], matrix @ vectors[seed], rtol=1e-9, atol=1e-9)
        assert along["stretch"][seed].item() == pytest.approx(float((matrix @ g).norm() / g.norm()), rel=1e-9)
        assert along["rayleigh"][seed].item() == pytest.approx(float(g @ matrix @ g / (g @ g)), rel=1e-9)
        # the eigenvalue's error is quadratic in the residual that the tolerance bounds
        assert top.values[seed].item() == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-9)


def diagonal(entries: Tensor):
    return lambda vector: vector * entries


def test_lanczos_finds_the_largest_not_the_most_negative():
    entries = torch.linspace(-50.0, 3.0, 40, dtype=torch.float64).expand(2, -1)
    start = torch.ones(2, 40, dtype=torch.float64)
    found = top_eigenvalue(diagonal(entries), start, max_products=40)
    # tolerance 1e-3 on the residual
    assert found.values.tolist() == pytest.approx([3.0, 3.0], rel=1e-3)
    assert (found.residuals <= 1e-3 * 3.0).all()
    assert found.products <= 40


def test_lanczos_ends_on_an_invariant_subspace_and_reports_its_budget():
    entries = torch.ones(1, 6, dtype=torch.float64) * 2
    start = torch.ones(1, 6, dtype=torch.float64)
    found = top_eigenvalue(diagonal(entries), start, max_products=1)
    assert found.values.item() == pytest.approx(2.0, rel=1e-14)
    spread = torch.linspace(0.0, 1.0, 200, dtype=torch.float64)[None]
    short = top_eigenvalue(diagonal(spread), torch.ones_like(spread), max_products=3)
    assert short.products == 3
    assert short.residuals.item() > 1e-3  # three products are too few, and the residual says so


def test_a_seed_that_is_not_finite_holds_up_nobody():
    entries = torch.stack([torch.arange(8.0), torch.full((8,), torch.nan)]).double()
    found = top_eigenvalue(diagonal(entries), torch.ones(2, 8, dtype=torch.float64), max_products=8)
    assert found.values[0].item() == pytest.approx(7.0, rel=1e-3)
    assert found.values[1].isnan()
    assert found.residuals[1].isnan()


def test_zero_gradient_has_no_direction(instance: Instance):
    product = hessian(instance.network, instance.problem, instance.params)
    along = directional_curvature(product, torch.zeros_like(instance.params))
    assert along["stretch"].isnan().all()
    assert along["rayleigh"].isnan().all()
