"""The walks of the probe stage: which are made, and that the penalty enters loss and gradient."""

from dataclasses import replace

import pytest
import torch

from normlab.runs.networks import build_network
from normlab.runs.training import cross_entropy
from normlab.specs.probe import ProbeSpec
from normlab.specs.training import RunSpec, TrainSpec
from normlab.studies.checkpoints.walks import record_walks
from normlab.tables.rows import Rows

TRAIN = TrainSpec(width=0.0625, batch_size=4, steps=1, test_every=1, checkpoint_every=1)
KEYS = {"study": "vgg", "network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0}
SPEC = ProbeSpec(step_sizes=(0.5, 2.0), random_directions=False)


def _walks(spec: ProbeSpec, weight_decay: float = 0.0):
    run = RunSpec("vgg11", "batch", 0.1, 0, replace(TRAIN, weight_decay=weight_decay))
    model = build_network(run, 10).double().train()
    draws = torch.Generator().manual_seed(0)
    batch = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=draws), torch.tensor([1, 2, 3, 4])
    rows = Rows(KEYS)
    record_walks(rows, model, batch, run, spec, step=0)
    return rows.frame(), model, batch


def _penalized(model, batch, penalty: float) -> torch.Tensor:
    return cross_entropy(model, batch) + penalty / 2 * sum((p**2).sum() for p in model.parameters())


@pytest.mark.parametrize(("spec", "weight_decay", "used"), [(0.3, 0.0, 0.3), (0.0, 0.2, 0.2), (0.3, 0.2, 0.2)])
def test_penalized_walk_is_the_walk_of_the_penalized_loss(spec: float, weight_decay: float, used: float) -> None:
    rows, model, batch = _walks(replace(SPEC, penalty=spec), weight_decay)
    found = rows[(rows["probe"] == "landscape_penalized") & (rows["quantity"] == "loss")]
    parameters = list(model.parameters())
    start = [p.detach().clone() for p in parameters]
    loss = _penalized(model, batch, used)
    gradient = torch.autograd.grad(loss, parameters)
    expected = [float(loss.detach())]
    for size in (0.05, 0.2):  # 0.5 and 2 learning rates
        with torch.no_grad():
            for p, w, g in zip(parameters, start, gradient, strict=True):
                p.copy_(w - size * g)
            expected.append(float(_penalized(model, batch, used)))
    # the same arithmetic in another order of sums, in float64
    assert list(found["value"]) == pytest.approx(expected, rel=1e-10)


def test_no_penalty_no_such_walk() -> None:
    rows, _, _ = _walks(SPEC)
    assert set(rows["probe"]) == {"landscape"}
