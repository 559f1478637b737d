"""Second derivatives against dense finite-difference Hessians, closed forms, and tools from elsewhere."""

import math
import warnings

import pytest
import torch
from torch import nn

from normlab.probes import directional_curvature, hessian_vector_product, landscape, top_eigenvalues
from tests.reference import twins
from tests.reference.models import BY_NAME, HELD, Held
from tests.reference.traces import no_trace

# central differences of float64 gradients: about 1e-9 of rounding and 1e-10 of the third derivative, times a few
FINITE_DIFFERENCES = {"rel": 1e-5, "abs": 1e-6}
SMOOTH = [held for held in HELD if held.name not in ("linf_mlp", "l1_mlp")]  # a maximum and |y| have kinks near enough


def random_like(model: nn.Module, seed: int = 0) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, generator=draws, dtype=p.dtype) for p in twins.trainable(model).values()]


@pytest.mark.parametrize("held", SMOOTH, ids=str)
def test_products_and_eigenvalues_agree_with_a_dense_hessian(held: Held) -> None:
    model, loss_fn, batch = held.make()
    dense = twins.hessian(model, loss_fn, batch)
    vector = random_like(model)
    with no_trace(model, batch):
        product = hessian_vector_product(model, loss_fn, batch, vector)
        found = top_eigenvalues(model, loss_fn, batch, 3, tol=1e-6, max_products=200)
        curvature = directional_curvature(model, loss_fn, batch)
    expected = dense @ torch.cat([v.reshape(-1) for v in vector])
    assert torch.cat([h.reshape(-1) for h in product]).tolist() == pytest.approx(
        expected.tolist(), **FINITE_DIFFERENCES
    )
    assert not any(h.requires_grad for h in product)
    eigenvalues = torch.linalg.eigvalsh(dense).flip(0)[:3]
    assert found.converged
    assert found.values.tolist() == pytest.approx(eigenvalues.tolist(), **FINITE_DIFFERENCES)
    g = twins.flat(twins.evaluate(model, loss_fn, batch, twins.weights_of(model))[1])
    assert curvature.grad_norm == pytest.approx(g.norm().item())
    assert curvature.rayleigh == pytest.approx((g @ dense @ g / g.dot(g)).item(), **FINITE_DIFFERENCES)
    assert curvature.stretch == pytest.approx(((dense @ g).norm() / g.norm()).item(), **FINITE_DIFFERENCES)


def test_small_steps_tend_to_the_stretch() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    stretch = directional_curvature(model, loss_fn, batch).stretch
    # the remainder is of the order of the step size times the third derivative
    assert landscape(model, loss_fn, batch, [1e-6]).effective_beta == pytest.approx(stretch, rel=1e-4)


def test_linear_loss_gives_zeros_and_zero_gradient_gives_nan() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    linear = directional_curvature(model, lambda m, b: m(b).sum(), x)
    assert (linear.rayleigh, linear.stretch) == (0.0, 0.0)
    assert linear.grad_norm > 0
    assert top_eigenvalues(model, lambda m, b: m(b).sum(), x, 2).values.tolist() == [0.0, 0.0]
    products = hessian_vector_product(model, lambda m, b: m(b).sum(), x, random_like(model))
    assert all(torch.equal(h, torch.zeros_like(h)) for h in products)
    flat = directional_curvature(model, lambda m, b: 0 * m(b).square().sum(), x)
    assert math.isnan(flat.rayleigh)
    assert math.isnan(flat.stretch)
    assert flat.grad_norm == 0
    assert any("zero gradient" in note for note in flat.notes)


def test_non_finite_curvature_is_a_result() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    model[0].weight.data.fill_(math.nan)
    assert math.isnan(directional_curvature(model, loss_fn, batch).rayleigh)
    found = top_eigenvalues(model, loss_fn, batch, 2)
    assert torch.isnan(found.values).all()
    assert not found.converged


def test_agrees_with_curvlinops_in_eval_mode() -> None:
    curvlinops = pytest.importorskip("curvlinops")
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    model(batch[0])  # running statistics of its own
    model.eval()
    vector = random_like(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their own, and ours about eval mode
        parameters = list(model.parameters())
        theirs = curvlinops.HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, [batch]) @ vector
        ours = hessian_vector_product(model, loss_fn, batch, vector, mode="eval")
    for a, b in zip(ours, theirs, strict=True):
        assert a.reshape(-1).tolist() == pytest.approx(b.reshape(-1).tolist(), rel=1e-9, abs=1e-12)  # both float64


def test_vectors_of_another_shape_are_refused() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    with pytest.raises(ValueError, match="2 tensors, expected 4"):
        hessian_vector_product(model, loss_fn, batch, random_like(model)[:2])
    with pytest.raises(ValueError, match=r"vector\[0\] has shape"):
        hessian_vector_product(model, loss_fn, batch, random_like(model)[::-1])
