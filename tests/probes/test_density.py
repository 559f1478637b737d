"""The density of the Hessian's eigenvalues beside those of the dense one."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from normlab.probes import spectral_density
from normlab.probes.lanczos import quadrature
from tests.reference import twins
from tests.reference.models import BY_NAME, quadratic
from tests.reference.traces import no_trace


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


@pytest.mark.parametrize(
    ("arguments", "message"), [({"vectors": 0}, "vectors must be"), ({"width": -1.0}, "width must be")]
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spectral_density(*BY_NAME["mlp"].make(), **arguments)


def test_a_divergence_is_a_result() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    model[0].weight.data.fill_(math.nan)
    assert "not finite" in spectral_density(model, loss, batch, vectors=1, steps=2).notes[0]


@pytest.mark.parametrize(("eigenvalue", "width"), [(-3.0, 0.03), (0.5, 0.01), (0.0, 0.01)])
def test_a_lone_eigenvalue_is_smoothed_by_a_hundredth_of_its_size_or_of_one(eigenvalue: float, width: float) -> None:
    found = spectral_density(*quadratic(torch.tensor([eigenvalue], dtype=torch.float64)), vectors=1)
    assert found.width == pytest.approx(width, rel=1e-12)
    assert found.grid.tolist()[0] == pytest.approx(eigenvalue - 6 * width, rel=1e-9)


def test_the_summary_of_a_density_is_exact_where_the_hessian_is_diagonal() -> None:
    eigenvalues = torch.tensor([-1.5, 2.25, 5.0, 0.75], dtype=torch.float64)
    model, loss, _ = quadratic(eigenvalues)
    # a vector of random signs weighs each of them by a quarter
    found = spectral_density(model, loss, torch.diag(eigenvalues), vectors=3, steps=4).scalars()
    assert found == pytest.approx({"mean": 6.5 / 4, "low": -1.5, "high": 5.0, "negative_share": 0.25}, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_eigenvalues_are_not_negative_by_their_rounding(dtype: torch.dtype) -> None:
    """H = 2/5 XᵀX of 5 vectors in 50 dimensions: 45 eigenvalues are 0, and come out on either side of it."""
    torch.manual_seed(0)
    model, x = nn.Linear(50, 1, bias=False).to(dtype), torch.randn(5, 50, dtype=dtype)
    found = spectral_density(model, lambda m, x: m(x).square().mean(), x)
    low = min(nodes.min().item() for nodes in found.nodes)
    assert -found.zero < low < 1e-2
    assert found.zero == pytest.approx(100 * torch.finfo(dtype).eps * found.scalars()["high"])
    assert found.scalars()["negative_share"] == 0.0
    turned = spectral_density(model, lambda m, x: -m(x).square().mean(), x)
    share = sum(
        weights[nodes < -1e-2].sum().item() for nodes, weights in zip(turned.nodes, turned.weights, strict=True)
    )
    assert turned.scalars()["negative_share"] == pytest.approx(share / 4)


def test_the_density_at_given_eigenvalues_is_that_of_the_grid() -> None:
    found = spectral_density(*quadratic(torch.tensor([1.0, 2.0], dtype=torch.float64)), vectors=2)
    assert torch.equal(found.at(found.grid), found.density)
    for values in ([1.0, 2.0], (1, 2), torch.tensor([1, 2]), torch.tensor([1.0, 2.0]).numpy()):
        assert found.at(values).tolist() == found.at(torch.tensor([1.0, 2.0], dtype=torch.float64)).tolist()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (1.0, TypeError, "values must be a sequence of real numbers, got 1.0"),
        ("12", TypeError, "values must be a sequence of real numbers, got '12'"),
        (["1"], ValueError, "values must be finite real numbers, got '1'"),
        ([1j], ValueError, "values must be finite real numbers, got 1j"),
        ([], ValueError, "values is empty"),
        (torch.tensor(1.0), ValueError, r"values must be of one dimension \(G,\), got shape \(\)"),
        (torch.eye(2), ValueError, r"values must be of one dimension \(G,\), got shape \(2, 2\)"),
        (torch.eye(2).numpy(), ValueError, r"values must be finite real numbers, got \[1.0, 0.0\]"),
    ],
)
def test_what_is_no_list_of_eigenvalues_is_refused(values: Any, error: type[Exception], message: str) -> None:
    found = spectral_density(*quadratic(torch.tensor([1.0], dtype=torch.float64)), vectors=1)
    with pytest.raises(error, match=f"^{message}"):
        found.at(values)
