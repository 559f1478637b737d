"""One small training for every framework, and what the probes should find in it."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from normlab.probes import Monitor, covariate_shift, landscape

STEPS, EVERY = 4, 2


def network() -> nn.Sequential:
    """The same weights at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 3))


def batches() -> list[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(5)
    return [(torch.randn(8, 4, generator=draws), torch.arange(8) % 3) for _ in range(STEPS)]


def loss_fn(model: nn.Module, batch: Any) -> Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def probes(optimizer: Any) -> dict[str, Any]:
    return {
        "walk": partial(landscape, step_sizes=[0.1, 0.5]),
        "shift": partial(covariate_shift, optimizer=optimizer),
    }


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def plain(probed: bool = True) -> tuple[list[dict[str, float]], nn.Module]:
    """Rows and the trained model of a loop without any framework."""
    torch.manual_seed(11)
    model = network()
    optimizer = sgd(model)
    monitor = Monitor(model, loss_fn, every=EVERY, probes=probes(optimizer))
    rows = []
    for step, batch in enumerate(batches()):
        if probed and (numbers := monitor(step, batch)):
            rows.append({"step": step, **numbers})
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    return rows, model


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
