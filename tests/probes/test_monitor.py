"""The schedule, the names, and that a training is not disturbed."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.probes import (
    Monitor,
    activation_moments,
    covariate_shift,
    directional_curvature,
    landscape,
    top_eigenvalues,
)
from tests.reference.models import BY_NAME, classification
from tests.reference.traces import no_trace


def constant(value: Any) -> Any:
    return lambda model, loss_fn, batch: value


def test_runs_at_the_steps_of_its_schedule() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    every = Monitor(model, loss_fn, every=3, probes={"one": constant(1.0)})
    assert [step for step in range(8) if every(step, batch)] == [0, 3, 6]
    early = Monitor(model, loss_fn, every=lambda step: step < 2, probes={"one": constant(1.0)})
    assert [step for step in range(8) if early(step, batch)] == [0, 1]
    assert (every.times(8), early.times(8)) == (3, 2)


def test_results_are_flattened_to_floats_with_names() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    monitor = Monitor(
        model,
        loss_fn,
        every=1,
        probes={
            "landscape": partial(landscape, step_sizes=[0.1, 0.2]),
            "forward": partial(landscape, step_sizes=[0.1], gradients=False),
            "shift": partial(covariate_shift, learning_rate=0.1),
            "sharpness": top_eigenvalues,
            "curvature": directional_curvature,
            "moments": lambda m, loss, b: activation_moments(m, b, ["1"]),
            "own": constant({"a": 1, "b": {"c": torch.tensor(2.0)}}),
        },
    )
    with no_trace(model, batch):
        found = monitor(0, batch)
    assert all(type(value) is float for value in found.values())
    expected = landscape(model, loss_fn, batch, [0.1, 0.2])
    assert found["landscape/effective_beta"] == expected.effective_beta
    assert found["landscape/loss_range"] == expected.loss_range
    assert found["shift/3/cosine"] == covariate_shift(model, loss_fn, batch, learning_rate=0.1)["3"].cosine
    assert found["sharpness/values/0"] == top_eigenvalues(model, loss_fn, batch).values[0]
    assert found["curvature/stretch"] > 0
    assert found["moments/1/variance"] == pytest.approx(1.0, rel=1e-3)  # eps in the batch's standard deviation
    assert (found["own/a"], found["own/b/c"]) == (1.0, 2.0)
    assert "forward/loss_range" in found
    assert "forward/effective_beta" not in found  # not measured


def test_probes_of_ones_own_leave_no_trace_either() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()

    def careless(m: nn.Module, loss: Any, b: tuple[Tensor, Tensor]) -> float:
        m.eval()
        m(torch.randn_like(b[0]))
        m.train()
        m(b[0])
        m[0].weight.data.add_(1.0)
        raise KeyboardInterrupt

    with no_trace(model, batch), pytest.raises(KeyboardInterrupt):
        Monitor(model, loss_fn, every=1, probes={"careless": careless})(0, batch)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"every": 0}, ValueError, "at least 1, got 0"),
        ({"every": "often"}, TypeError, "'often'"),
        ({"every": True}, TypeError, "True"),
        ({"probes": {}}, ValueError, "empty"),
        ({"probes": [landscape]}, TypeError, "dict"),
        ({"probes": {"one": 1}}, TypeError, "probe 'one' must be callable"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Monitor(nn.Linear(1, 1), classification, **({"every": 1, "probes": {"one": landscape}} | arguments))


def test_a_result_that_is_no_number_is_named() -> None:
    monitor = Monitor(nn.Linear(1, 1), classification, every=1, probes={"words": constant({"x": "high"})})
    with pytest.raises(TypeError, match="'words/x' must be"):
        monitor(0, (torch.zeros(1),))
