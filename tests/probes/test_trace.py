"""The trace of the Hessian beside that of the dense one."""

import math

import pytest
import torch

from normlab.probes import trace
from tests.reference import twins
from tests.reference.models import BY_NAME, quadratic
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


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        trace(*BY_NAME["mlp"].make(), max_products=5)


def test_a_divergence_is_a_result() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    model[0].weight.data.fill_(math.nan)
    assert math.isnan(trace(model, loss, batch, max_products=6).value)
