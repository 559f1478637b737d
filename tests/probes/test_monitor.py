"""The schedule, the names, and that a training is not disturbed."""

import math
from functools import partial
from typing import Any

import numpy as np
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
from normlab.probes.monitor import Budget
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


def test_a_step_is_a_number_or_holds_one() -> None:
    monitor = Monitor(nn.Linear(1, 1), classification, every=2, probes={"one": constant({"x": 1.0})})
    batch = (torch.zeros(1),)
    for step in (4, np.int64(4), torch.tensor(4), np.array(4), 4.0, np.float32(4)):
        assert monitor(step, batch) == {"one/x": 1.0}  # type: ignore[arg-type]
    for step in (3, np.int64(3), torch.tensor(3)):
        assert monitor(step, batch) == {}  # type: ignore[arg-type]
    for wrong, kind in (("4", "str"), (batch, "tuple"), (torch.zeros(3), "Tensor"), (None, "NoneType")):
        with pytest.raises(TypeError, match=rf"^step must be a number, as in monitor\(step, batch\), got {kind}$"):
            monitor(wrong, batch)  # type: ignore[arg-type]


def test_a_result_that_is_no_number_is_named() -> None:
    monitor = Monitor(nn.Linear(1, 1), classification, every=1, probes={"words": constant({"x": "high"})})
    with pytest.raises(TypeError, match="'words/x' must be"):
        monitor(0, (torch.zeros(1),))


def test_probes_at_different_rates() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    probes = {"cheap": directional_curvature, "dear": lambda m, f, b: 1.0}
    monitor = Monitor(model, loss_fn, every={"cheap": 2, "dear": lambda step: step == 3}, probes=probes)
    seen = [{name.partition("/")[0] for name in monitor(step, batch)} for step in range(5)]
    assert seen == [{"cheap"}, set(), {"cheap"}, {"dear"}, {"cheap"}]
    assert monitor.times(5) == 4
    with pytest.raises(ValueError, match="names of the probes, cheap, dear; got cheap"):
        Monitor(model, loss_fn, every={"cheap": 2}, probes=probes)


def test_a_budget_is_kept_and_the_cheap_probes_run_more_often() -> None:
    now = 0.0
    budget = Budget(0.1, clock=lambda: now)
    costs, runs = {"cheap": 0.2, "dear": 2.0}, {"cheap": 0, "dear": 0}
    for _ in range(1000):
        for name in budget.affordable(list(costs)):
            with budget.spending(name):
                now += costs[name]
            runs[name] += 1
        now += 1.0  # the training step
    spent = sum(costs[name] * times for name, times in runs.items())
    assert spent <= 0.1 * 1000 + 2.0  # the first run of each shows what it costs
    assert spent > 0.5 * 0.1 * 1000
    assert runs["cheap"] > 2 * runs["dear"] > 0


def test_a_monitor_with_a_budget_runs_each_probe_at_first() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    monitor = Monitor(model, loss_fn, probes={"c": directional_curvature}, budget=1e-9)
    assert monitor(0, batch)
    assert not any(monitor(step, batch) for step in range(1, 5))  # what it took is far more than it may
    with pytest.raises(ValueError, match="budget must be a positive share"):
        Monitor(model, loss_fn, probes={"c": directional_curvature}, budget=0)


def test_sizes_of_updates_for_all_and_for_chosen_parameters() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    monitor = Monitor(model, loss_fn, every=2, probes={"n": lambda m, f, b: 1.0}, updates="0.*")
    first = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert monitor(0, batch) == {"n": 1.0}  # there is no step before the first
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5)
    assert monitor(1, batch) == {}
    with torch.no_grad():
        model[0].weight.add_(1.0)
    found = monitor(2, batch)
    grown = torch.cat([1.5 * v.reshape(-1) for v in first.values()]).norm().item()
    moved = math.sqrt(model[0].weight.numel())
    assert found["update/l2_norm"] == pytest.approx(moved)
    assert found["update/relative"] == pytest.approx(moved / grown)
    assert found["update/0.weight/l2_norm"] == pytest.approx(moved)
    assert found["update/0.bias/relative"] == 0
    assert not any(name.startswith("update/2") for name in found)
    with pytest.raises(ValueError, match="no trainable parameter matches"):
        Monitor(model, loss_fn, probes={"n": lambda m, f, b: 1.0}, updates="features.*")


def test_layers_by_pattern() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    assert list(covariate_shift(model, loss_fn, batch, learning_rate=0.1, layers=["[03]", "1"])) == ["0", "3", "1"]
    assert list(activation_moments(model, batch, ["*"])) == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match="unknown layer 'features"):
        covariate_shift(model, loss_fn, batch, learning_rate=0.1, layers=["0", "features.*"])
