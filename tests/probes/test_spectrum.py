"""Trace, density and block eigenvalues of the Hessian beside the dense one."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.probes import batch_sharpness, spectral_density, top_eigenvalues, trace
from normlab.probes.lanczos import quadrature
from tests.reference import twins
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace


@pytest.mark.parametrize("name", ["batch_mlp", "transformer", "weight_norm"])
def test_the_trace_is_exact_with_a_product_a_parameter(name: str) -> None:
    model, loss, batch = BY_NAME[name].make()
    n = sum(p.numel() for p in model.parameters() if p.requires_grad)
    with no_trace(model, batch):
        found = trace(model, loss, batch, max_products=n)
    truth = twins.hessian(model, loss, batch).trace().item()
    assert found.value == pytest.approx(truth, rel=1e-6)  # central differences: 1e-9 an entry
    assert (found.standard_error, found.products) == (0.0, n)


def quadratic(eigenvalues: Tensor) -> tuple[nn.Module, Any, Tensor]:
    """½ wᵀHw with these eigenvalues in a random basis."""
    draws = torch.Generator().manual_seed(0)
    n = len(eigenvalues)
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=draws, dtype=torch.float64))
    model = nn.ParameterList([nn.Parameter(torch.randn(n, generator=draws, dtype=torch.float64))])
    return model, lambda m, h: 0.5 * m[0] @ h @ m[0], q @ torch.diag(eigenvalues) @ q.T


def test_hutch_plus_plus_is_exact_on_few_directions_and_honest_on_many() -> None:
    low_rank = torch.cat([torch.tensor([5.0, 3.0, -2.0]), torch.zeros(57)]).double()
    found = trace(*quadratic(low_rank), max_products=30)
    assert found.value == pytest.approx(6.0, rel=1e-9)
    assert found.standard_error < 1e-9
    broad = torch.linspace(0.1, 1.0, 200, dtype=torch.float64)
    errors = []
    for seed in range(12):
        found = trace(*quadratic(broad), max_products=60, generator=torch.Generator().manual_seed(seed))
        errors.append((found.value - broad.sum().item()) / found.standard_error)
    assert max(map(abs, errors)) < 5
    assert sum(abs(e) < 2 for e in errors) >= 8  # about eleven of twelve, were the errors normal


def test_quadrature_gives_the_moments_of_the_measure() -> None:
    draws = torch.Generator().manual_seed(1)
    lam, v = torch.randn(2, 40, generator=draws, dtype=torch.float64)
    nodes, weights = quadrature(lambda x: lam * x, v, 5)
    assert len(nodes) == 5
    for power in range(10):  # exact up to degree 2·5 − 1
        truth = ((v * lam**power) @ v / (v @ v)).item()
        assert (weights @ nodes**power).item() == pytest.approx(truth, rel=1e-9)
    nodes, weights = quadrature(lambda x: 3 * x, v, 5)  # one eigenvalue: the space closes after one step
    assert (nodes.tolist(), weights.tolist()) == ([pytest.approx(3.0)], [pytest.approx(1.0)])


@pytest.mark.parametrize("name", ["batch_mlp", "mlp"])
def test_the_density_integrates_to_one_and_has_the_moments_of_the_eigenvalues(name: str) -> None:
    model, loss, batch = BY_NAME[name].make()
    with no_trace(model, batch):
        found = spectral_density(model, loss, batch, vectors=60, steps=20)
    assert torch.trapezoid(found.density, found.grid).item() == pytest.approx(1.0, abs=1e-6)  # tails beyond 6 widths
    truth = torch.linalg.eigvalsh(twins.hessian(model, loss, batch))
    mean = torch.trapezoid(found.grid * found.density, found.grid).item()
    # a start vector's mean eigenvalue scatters by √(2/n) of their size; sixty of them by an eighth of that
    assert mean == pytest.approx(truth.mean().item(), abs=4 * truth.std().item() * math.sqrt(2 / len(truth) / 60))
    assert found.scalars()["high"] == pytest.approx(truth.max().item(), rel=1e-6)
    assert found.scalars()["low"] == pytest.approx(truth.min().item(), rel=1e-6, abs=1e-9)
    assert found.products <= 60 * 20


def test_smallest_and_block_eigenvalues_and_the_gradients_share() -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    dense = twins.hessian(model, loss, batch)
    values, axes = torch.linalg.eigh(dense)
    smallest = top_eigenvalues(model, loss, batch, 2, which="smallest", tol=1e-8)
    assert smallest.values.tolist() == pytest.approx(values[:2].tolist(), rel=1e-6)
    largest = top_eigenvalues(model, loss, batch, 2, tol=1e-8)
    g = twins.flat(twins.evaluate(model, loss, batch, twins.weights_of(model))[1])
    share = (axes[:, -2:].T @ g).square().sum() / g.square().sum()
    assert largest.gradient_share == pytest.approx(share.item(), rel=1e-6)
    sizes = [p.numel() for p in model.parameters()]
    first, last = sum(sizes[:2]), sum(sizes[-2:])
    block = top_eigenvalues(model, loss, batch, parameters="0.*", tol=1e-8)
    assert block.values.item() == pytest.approx(torch.linalg.eigvalsh(dense[:first, :first])[-1].item(), rel=1e-6)
    ends = torch.cat([torch.arange(first), torch.arange(len(dense) - last, len(dense))])
    both = trace(model, loss, batch, parameters=["0.*", "3.*"])
    assert both.value == pytest.approx(dense[ends][:, ends].trace().item(), rel=1e-6)
    with pytest.raises(ValueError, match=r"no trainable parameter matches 'features\.\*': names are 0.weight"):
        top_eigenvalues(model, loss, batch, parameters="features.*")
    with pytest.raises(ValueError, match="'largest' or 'smallest'"):
        top_eigenvalues(model, loss, batch, which="both")


def test_a_lone_eigenvalue_has_the_weight_that_the_start_vectors_give_it() -> None:
    # why four vectors can show the upper end of a density low: its node is exact, its share of 1/n is a draw
    model, loss, batch = BY_NAME["mlp"].make()
    values, axes = torch.linalg.eigh(twins.hessian(model, loss, batch))
    top, u, n, count = values[-1].item(), axes[:, -1], len(values), 20
    draws = _seeded()
    signs = [torch.randn(n, generator=draws, dtype=torch.float64).sign() for _ in range(count)]
    expected = torch.stack([v.dot(u).square() / n for v in signs])
    found = spectral_density(model, loss, batch, vectors=count, steps=n, generator=_seeded())
    alone = (top + values[-2].item()) / 2  # nothing else lies above
    weights = torch.stack([w[node > alone].sum() for node, w in zip(found.nodes, found.weights, strict=True)])
    assert torch.allclose(weights, expected, atol=1e-8, rtol=0)  # of weights that add up to 1
    assert found.scalars()["high"] == pytest.approx(top, rel=1e-10)
    assert expected.mean().item() == pytest.approx(1 / n, abs=4 * expected.std().item() / math.sqrt(count))
    assert expected.min() * n < 0.5 < 2 < expected.max() * n  # what single vectors say


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_batch_sharpness_is_the_mean_quotient_over_batches() -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    batches = [(batch[0][:3], batch[1][:3]), (batch[0][3:], batch[1][3:]), batch]
    quotients = []
    for one in batches:
        h = twins.hessian(model, loss, one)
        g = twins.flat(twins.evaluate(model, loss, one, twins.weights_of(model))[1])
        quotients.append((g @ h @ g / g.square().sum()).item())
    with no_trace(model, batch):
        found = batch_sharpness(model, loss, batches)
    assert found.per_batch.tolist() == pytest.approx(quotients, rel=1e-6)
    assert found.value == pytest.approx(sum(quotients) / 3, rel=1e-6)
    assert found.standard_error == pytest.approx(torch.tensor(quotients).std().item() / math.sqrt(3), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda *a: trace(*a, max_products=5), "at least 6"),
        (lambda *a: spectral_density(*a, vectors=0), "vectors must be"),
        (lambda *a: spectral_density(*a, width=-1.0), "width must be"),
        (lambda m, f, b: batch_sharpness(m, f, []), "batches is empty"),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*BY_NAME["mlp"].make())


def test_a_divergence_is_a_result() -> None:
    model, _, batch = BY_NAME["mlp"].make()
    model[0].weight.data.fill_(math.nan)
    loss = BY_NAME["mlp"].loss_fn
    assert math.isnan(trace(model, loss, batch, max_products=6).value)
    assert "not finite" in spectral_density(model, loss, batch, vectors=1, steps=2).notes[0]


@pytest.mark.parametrize(("eigenvalue", "width"), [(-3.0, 0.03), (0.5, 0.01), (0.0, 0.01)])
def test_a_lone_eigenvalue_is_smoothed_by_a_hundredth_of_its_size_or_of_one(eigenvalue: float, width: float) -> None:
    found = spectral_density(*quadratic(torch.tensor([eigenvalue], dtype=torch.float64)), vectors=1)
    assert found.width == pytest.approx(width, rel=1e-12)
    assert found.grid.tolist()[0] == pytest.approx(eigenvalue - 6 * width, rel=1e-9)
