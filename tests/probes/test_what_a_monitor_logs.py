"""Which numbers a monitor logs under which names, what it refuses, and what its budget counts."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.probes import Monitor
from normlab.probes.monitor import Budget


def constant(value: Any) -> Callable[..., Any]:
    return lambda model, loss_fn, batch: value


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    return model(batch).square().mean()  # type: ignore[no-any-return]


class Summed:
    """A result that names its numbers, some of them in groups."""

    def scalars(self) -> dict[str, Any]:
        return {"a": 1, "group": {"b": torch.tensor(2.5), "c": np.float32(0.5)}}


NUMBERS: dict[str, tuple[Any, dict[str, float]]] = {
    "whole": (3, {"p": 3.0}),
    "truth": (True, {"p": 1.0}),
    "tensor": (torch.tensor(2), {"p": 2.0}),
    "tensor with a graph": (torch.tensor(1.5, requires_grad=True) * 2, {"p": 3.0}),
    "number of numpy": (np.float32(0.25), {"p": 0.25}),
    "array without dimensions": (np.array(7), {"p": 7.0}),
    "result": (Summed(), {"p/a": 1.0, "p/group/b": 2.5, "p/group/c": 0.5}),
    "results by name": ({"0": Summed(), 1: 4}, {"p/0/a": 1.0, "p/0/group/b": 2.5, "p/0/group/c": 0.5, "p/1": 4.0}),
    "nothing": ({}, {}),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_kind_have_their_names(kind: str) -> None:
    result, expected = NUMBERS[kind]
    found = Monitor(nn.Linear(1, 1), loss, probes={"p": constant(result)})(0, torch.ones(1, 1))
    assert found == expected
    assert list(found) == list(expected)
    assert all(type(value) is float for value in found.values())


class Typed:
    """Has a type of numbers, and does not say how many dimensions."""

    dtype = float

    def __float__(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    "result", [torch.ones(1), torch.ones(1, 1), np.ones(1), np.ones((1, 1)), np.ones(2), [1.0], None, "1", Typed()]
)
def test_what_is_no_number_is_refused_by_its_name(result: Any) -> None:
    monitor = Monitor(nn.Linear(1, 1), loss, probes={"p": constant({"x": result})})
    expected = f"probe result 'p/x' must be a probe result, a number, or dicts of them, got {type(result).__name__}"
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        monitor(0, torch.ones(1, 1))


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    *(
        ({"budget": share}, ValueError, f"such as 0.05, got {share!r}")
        for share in (0, -0.1, math.inf, math.nan, "all")
    ),
    ({"every": {"p": 1, "q": 1}}, ValueError, "every must have the names of the probes, p; got p, q"),
    ({"every": {"q": 1}}, ValueError, "every must have the names of the probes, p; got q"),
    ({"every": {}}, ValueError, "every must have the names of the probes, p; got "),
    ({"every": {"p": -1}}, ValueError, "every must be at least 1, got -1"),
    ({"every": {"p": 1, 3: 2}}, ValueError, "every must have the names of the probes, p; got p, 3"),
    ({"every": np.int64(0)}, ValueError, "every must be at least 1, got 0"),
    ({"every": np.bool_(True)}, TypeError, f"a predicate of the step, got {np.True_!r}"),
    ({"every": "a\nb" * 50}, TypeError, "a predicate of the step, got '" + "a\\nb" * 19 + "a\\n"),
    ({"every": torch.zeros(2, 2)}, TypeError, "a predicate of the step, got tensor([[0., 0.], [0., 0.]])"),
    ({"model": loss}, TypeError, "model must be a torch.nn.Module, got function"),
    ({"model": None}, TypeError, "model must be a torch.nn.Module, got NoneType"),
    ({"loss_fn": None}, TypeError, "loss_fn must be callable as loss_fn(model, batch), got None"),
    *(
        (
            {"updates": updates},
            TypeError,
            f"updates must be True, False, a pattern of names or a list of them, got {updates!r}",
        )
        for updates in ([3], ["weight", 3], 3, None, b"weight")
    ),
    ({"every": 2.0}, TypeError, "every must be a number of steps or a predicate of the step, got 2.0"),
    ({"probes": {}}, ValueError, "probes is empty: give at least one, such as {'landscape': partial(landscape, …)}"),
    ({"probes": [1]}, TypeError, "probes must be a dict of name to callable, got list"),
    ({"probes": {"p": 1}}, TypeError, "probe 'p' must be callable as probe(model, loss_fn, batch), got 1"),
    ({"updates": "1.*"}, ValueError, "no trainable parameter matches '1.*': names are weight, bias"),
    (
        {"updates": ["weight", "b"]},
        ValueError,
        "no trainable parameter matches ['weight', 'b']: names are weight, bias",
    ),
]


@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_arguments_are_refused_with_what_was_given(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"{re.escape(message)}$"):
        Monitor(**{"model": nn.Linear(1, 1), "loss_fn": loss, "probes": {"p": constant(1)}, **given})


def test_numbers_of_steps_are_whole_numbers_of_any_type() -> None:
    monitor = Monitor(nn.Linear(1, 1), loss, every=np.int64(5), probes={"p": constant(1)})  # type: ignore[arg-type]
    assert [step for step in range(11) if monitor.due(step)] == [0, 5, 10]
    assert monitor.due(torch.tensor(10)) is True  # type: ignore[arg-type]
    assert monitor.times(np.int64(11)) == 3  # type: ignore[arg-type]
    each = Monitor(nn.Linear(1, 1), loss, every={"p": np.uint8(2)}, probes={"p": constant(1)})  # type: ignore[dict-item]
    assert each.times(5) == 3
    with pytest.raises(TypeError, match=r"^steps must be a whole number of steps, got 'x'$"):
        monitor.times("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^step must be a number, as in monitor\(step, batch\), got str$"):
        monitor.due("x")  # type: ignore[arg-type]


def test_a_schedule_is_asked_for_each_step_and_anything_true_is_due() -> None:
    asked: list[int] = []

    def remainder(step: int) -> Any:
        asked.append(step)
        return step % 3

    monitor = Monitor(nn.Linear(1, 1), loss, every=remainder, probes={"p": constant(1)})
    assert [monitor.due(step) for step in range(4)] == [False, True, True, False]
    assert asked == [0, 1, 2, 3]
    assert monitor.times(0) == 0
    assert Monitor(nn.Linear(1, 1), loss, every=5, probes={"p": constant(1)}).times(11) == 3


def _stepped(updates: Any, step: Callable[[nn.Linear], object], start: float = 3.0) -> dict[str, float]:
    """What is logged after one step of a network with weights (3, 4) and bias 12, which is frozen."""
    model = nn.Linear(2, 1, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[start, start * 4 / 3]], dtype=torch.float64))
        model.bias.fill_(12.0).requires_grad_(False)
    monitor = Monitor(model, loss, probes={"p": constant(1)}, updates=updates)
    batch = torch.ones(1, 2, dtype=torch.float64)
    assert monitor(0, batch) == {"p": 1.0}
    with torch.no_grad():
        step(model)
    return monitor(1, batch)


def _moved(model: nn.Linear) -> None:
    model.weight.add_(torch.tensor([[0.6, 0.8]], dtype=torch.float64))
    model.bias.add_(5.0)


def test_sizes_of_a_step_are_those_of_trainable_parameters() -> None:
    found = _stepped(True, _moved)
    assert found == pytest.approx({"update/l2_norm": 1.0, "update/relative": 0.2, "p": 1.0}, rel=1e-12)
    chosen = _stepped(["w*"], _moved)
    single = {"update/weight/l2_norm": 1.0, "update/weight/relative": 0.2}
    assert chosen == pytest.approx({**found, **single}, rel=1e-12)
    assert _stepped(False, _moved) == {"p": 1.0}


def test_a_step_from_zero_has_no_relative_size_and_a_parameter_that_is_gone_has_none() -> None:
    found = _stepped(True, _moved, start=0.0)
    assert found["update/l2_norm"] == pytest.approx(1.0)
    assert math.isnan(found["update/relative"])
    gone = _stepped(True, lambda model: setattr(model, "weight", None))
    assert gone["update/l2_norm"] == 0.0


def _changing(*changes: Callable[[nn.Sequential], object], updates: Any = True) -> list[dict[str, float]]:
    """The sizes logged after each change of a network whose first layer is frozen."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
        model[1].weight.copy_(torch.tensor([[0.0, 12.0]]))
    model[0].requires_grad_(False)
    monitor = Monitor(model, loss, probes={"p": constant({})}, updates=updates)
    batch = torch.ones(1, 2, dtype=torch.float64)
    assert monitor(0, batch) == {}
    found = []
    for step, change in enumerate(changes, 1):
        with torch.no_grad():
            change(model)
        found.append(monitor(step, batch))
    return found


def _step(model: nn.Sequential) -> None:
    model[0].weight.add_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    for layer in model[1:]:
        layer.weight.add_(1.0)


def test_sizes_are_of_what_was_trainable_at_the_last_call() -> None:
    def unfrozen(model: nn.Sequential) -> None:
        model[0].requires_grad_(True)
        _step(model)

    def frozen(model: nn.Sequential) -> None:
        _step(model)
        model[0].requires_grad_(False)

    found = _changing(_step, unfrozen, _step, frozen, _step, updates=["[01].*", "1.weight"])
    head, both = math.sqrt(2), 2.0
    # what was unfrozen before its first step has no value at the call before: frozen weights are not copied
    assert [numbers["update/l2_norm"] for numbers in found] == pytest.approx([head, head, both, both, head])
    assert found[0]["update/relative"] == pytest.approx(head / 12)
    assert found[2]["update/relative"] == pytest.approx(2 / math.sqrt(5**2 + 6**2 + 2**2 + 14**2))
    assert ["update/0.weight/l2_norm" in numbers for numbers in found] == [False, False, True, True, False]
    assert found[2]["update/0.weight/l2_norm"] == pytest.approx(head)
    assert all(numbers["update/1.weight/l2_norm"] == pytest.approx(head) for numbers in found)


def test_parameters_that_come_go_or_change_their_shapes_make_no_step_then() -> None:
    def unfrozen(model: nn.Sequential) -> None:
        model[0].requires_grad_(True)

    def larger(model: nn.Sequential) -> None:
        _step(model)
        model[1] = nn.Linear(2, 7, bias=False).double()

    def longer(model: nn.Sequential) -> None:
        _step(model)
        model.append(nn.Linear(7, 1, bias=False).double())

    def gone(model: nn.Sequential) -> None:
        _step(model)
        del model[1:]

    found = _changing(unfrozen, larger, _step, longer, _step, gone, _step, updates="1.*")
    first, seven, one = math.sqrt(2), math.sqrt(14), math.sqrt(7)
    expected = [0.0, first, math.hypot(first, seven), math.hypot(first, seven), math.hypot(first, seven, one)]
    assert [numbers["update/l2_norm"] for numbers in found] == pytest.approx([*expected, first, first])
    of_the_head = [numbers.get("update/1.weight/l2_norm") for numbers in found]
    assert of_the_head == pytest.approx([0.0, None, seven, seven, seven, None, None])


def test_a_budget_counts_from_its_first_step_what_probes_take_even_if_they_fail() -> None:
    now = 100.0
    budget = Budget(1.0, clock=lambda: now)

    def run(name: str, seconds: float) -> None:
        nonlocal now
        with budget.spending(name):
            now += seconds
            if seconds > 2:
                raise KeyError

    assert list(budget.affordable(["slow", "half"])) == ["slow", "half"]
    run("half", 0.5)
    with pytest.raises(KeyError):
        run("slow", 4.0)
    now += 4.4  # 4.5 seconds are spent
    assert list(budget.affordable(["slow", "half", "new"])) == []
    now += 0.1
    assert list(budget.affordable(["slow", "half", "new"])) == ["new"]
    now += 0.5
    assert list(budget.affordable(["slow", "half", "new"])) == ["new", "half"]
    now += 3.5
    assert list(budget.affordable(["slow", "half", "new"])) == ["new", "half", "slow"]
