"""Batch sharpness beside dense Hessians of each batch."""

import math

import pytest
import torch

from normlab.probes import batch_sharpness
from tests.reference import twins
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace


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


def test_no_batch_at_all_is_named() -> None:
    model, loss, _ = BY_NAME["mlp"].make()
    with pytest.raises(ValueError, match="batches is empty"):
        batch_sharpness(model, loss, [])
