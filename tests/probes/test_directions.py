"""Walks along the optimizer's real next step and along filter-normalized directions."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from normlab.probes import landscape
from tests.reference.functions import D, loss_fn, vectors
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("held", ["batch_mlp", "tied"])
def test_step_size_one_is_the_optimizers_next_step(name: str, held: str) -> None:
    model, loss, batch = BY_NAME[held].make()
    optimizer = OPTIMIZERS[name](model.parameters())
    for _ in range(3):  # a state to start from
        optimizer.zero_grad()
        loss(model, batch).backward()
        optimizer.step()
    with no_trace(model, batch, optimizer):
        found = landscape(model, loss, batch, [1.0, 0.0, 1.0], optimizer=optimizer)
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    twin.zero_grad()
    loss(twin, batch).backward()
    twin_optimizer.step()
    # w − (w − w⁺) rounds twice, to about 1e-16 of a weight
    assert found.losses.tolist() == pytest.approx([loss(twin, batch).item(), found.loss, found.losses[0].item()])
    assert found.direction == "optimizer"
    moved = torch.cat([(p - q).reshape(-1) for p, q in zip(model.parameters(), twin.parameters(), strict=True)]).norm()
    assert found.betas[0].item() == pytest.approx(found.gradient_distances[0].item() / moved.item(), rel=1e-9)


def test_an_optimizer_without_a_step_is_noted() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    found = landscape(model, loss, batch, [1.0], optimizer=torch.optim.SGD(model.parameters(), lr=0.0))
    assert any("changes no weight" in note for note in found.notes)
    assert math.isnan(found.betas[0])
    with pytest.raises(ValueError, match=r"either optimizer .* or direction"):
        landscape(model, loss, batch, [1.0], direction="random", optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


def test_filters_of_a_filter_normalized_direction_have_the_lengths_of_the_weights() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(1, 3, 2), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(9, 3)).double()
    model[0].weight.data[1] = 0.0  # a filter of zeros divides by nothing
    batch = (vectors()[0][:, None], vectors()[1])
    found = landscape(
        model, loss_fn, batch, [0.4], direction="filter", gradients=False, generator=torch.Generator().manual_seed(5)
    )
    assert math.isnan(found.grad_norm)  # no gradient was needed, none was taken
    draws = torch.Generator().manual_seed(5)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for p in twin.parameters():
            d = torch.randn(p.shape, generator=draws, **D)
            for index in range(len(p)):
                if p.ndim > 1:
                    p[index] -= 0.4 * d[index] * p[index].norm() / d[index].norm()
    assert found.losses.item() == pytest.approx(loss_fn(twin, batch).item(), rel=1e-12)
    with_gradients = landscape(
        model, loss_fn, batch, [0.4], direction="filter", generator=torch.Generator().manual_seed(5)
    )
    assert with_gradients.losses.tolist() == found.losses.tolist()
    assert with_gradients.effective_beta > 0
