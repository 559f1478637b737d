"""Bytes, geometry, flags, gradients, streams, arrays and modes: each put back alone, and named where it cannot be."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.probes.memory import Arrays, Memory, RandomState, Streams
from normlab.probes.preservation import ModelState, preserved, tensors_in


def _fail(what: Any, error: BaseException) -> None:
    raise AssertionError(what) from error


def _leaf(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def _in_place(tensor: Tensor, change: Callable[[Tensor], object]) -> None:
    with torch.no_grad():
        change(tensor)


GRAD = torch.full((2,), 5.0, dtype=torch.float64)
CHANGES: dict[str, Callable[[Tensor], object]] = {
    "nothing": lambda t: None,
    "values": lambda t: _in_place(t, lambda u: u.add_(1)),
    "one value": lambda t: _in_place(t, lambda u: u[1].zero_()),
    "flag": lambda t: t.requires_grad_(not t.requires_grad),
    "gradient": lambda t: setattr(t, "grad", torch.zeros(2, dtype=torch.float64)),
    "no gradient": lambda t: setattr(t, "grad", None),
    "shape": lambda t: setattr(t, "data", t.data.view(1, 2)),
    "memory": lambda t: setattr(t, "data", t.data + 1),
    "less memory": lambda t: t.untyped_storage().resize_(0),
    "type": lambda t: setattr(t, "data", t.data.float()),
    "all": lambda t: (setattr(t, "grad", None), setattr(t, "data", t.data.float()), t.requires_grad_(False)),
}


@pytest.mark.parametrize("compare", [False, True], ids=["all written", "what has changed"])
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_bytes_geometry_flags_and_gradients(change: str, which: int, compare: bool) -> None:
    tensors = [_leaf(1.0, -0.0), _leaf(2.0, math.nan), _leaf(3.0, 4.0).detach()]
    tensors[1].grad = GRAD
    before = [(t.tolist().__repr__(), t.requires_grad, t.grad, t.data_ptr(), t.dtype, t.shape) for t in tensors]
    memory = Memory(tensors, compare=compare)
    for _ in range(2):
        if change not in ("gradient", "all", "type") or which < 2:
            CHANGES[change](tensors[which])
        memory.restore(_fail)
        after = [(t.tolist().__repr__(), t.requires_grad, t.grad, t.data_ptr(), t.dtype, t.shape) for t in tensors]
        for old, new in zip(before, after, strict=True):
            assert new[2] is old[2]
            if change == "less memory":  # it may lie elsewhere now
                old, new = (*old[:3], *old[4:]), (*new[:3], *new[4:])
            assert (*new[:2], *new[3:]) == (*old[:2], *old[3:])
    assert GRAD.tolist() == [5.0, 5.0]


def test_memory_without_tensors_and_of_tensors_without_elements() -> None:
    for compare in (False, True):
        Memory([], compare).restore(_fail)
        empty = torch.empty(0, 3)
        memory = Memory([empty, torch.ones(1)], compare)
        memory.restore(_fail)
        assert empty.shape == (0, 3)


def test_a_tensor_that_became_the_result_of_something_is_a_leaf_again() -> None:
    buffer, weight = torch.ones(2), torch.ones(2, requires_grad=True)
    memory = Memory([torch.zeros(1), buffer])
    buffer.mul_(weight)
    assert not buffer.is_leaf
    memory.restore(_fail)
    assert buffer.is_leaf
    assert not buffer.requires_grad
    assert buffer.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("compare", [False, True])
def test_tensors_over_one_memory_have_their_values_again(compare: bool) -> None:
    base = torch.arange(6.0)
    tensors = [base, base[1:4], base.view(2, 3).t(), base[5:].expand(3), torch.ones(1)]
    memory = Memory(tensors, compare)
    base.add_(10)
    memory.restore(_fail)
    assert base.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert all(torch.equal(value, alias) for alias, value in zip(memory.aliases, memory.values, strict=True))


def test_one_that_cannot_be_written_is_told_of_and_the_others_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = torch.ones(2), torch.ones(3)
    memory, told = Memory([first, second]), []
    memory.values[0] = torch.ones(7)  # of another size: it has no place there
    first.zero_(), second.zero_()
    memory.restore_bytes(lambda what, error: told.append(what))
    assert [one is first for one in told] == [True]
    assert second.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("make", [torch.Generator, random.Random, np.random.default_rng, np.random.RandomState])
def test_streams_go_on_where_they_were(make: Callable[[], Any]) -> None:
    def draw(stream: Any) -> float:
        return torch.rand((), generator=stream).item() if make is torch.Generator else float(stream.random())

    if make is np.random.RandomState:
        draw = lambda stream: float(stream.rand())  # noqa: E731
    streams = [make(), make()]
    state = Streams(streams)
    drawn = [[draw(stream) for _ in range(3)] for stream in streams]
    for _ in range(2):
        state.restore(_fail)
        assert [[draw(stream) for _ in range(3)] for stream in streams] == drawn


def test_global_streams_go_on_where_they_were() -> None:
    state = RandomState()
    drawn = [torch.rand(1).item(), np.random.rand(), random.random()]
    for _ in range(2):
        state.restore()
        assert [torch.rand(1).item(), np.random.rand(), random.random()] == drawn
    assert torch.rand(1, generator=state.generator()).item() == drawn[0]


def test_arrays_are_written_where_they_have_changed_and_told_of_where_they_cannot_be() -> None:
    arrays, told = [np.array([1.0, -0.0]), np.array([1.0, np.nan]), np.ones((2, 3))], []
    state = Arrays(arrays)
    for array in arrays:
        array.flags.writeable = False
    state.restore(_fail)  # nothing has changed: nothing is written
    for array in arrays:
        array.flags.writeable = True
        array[...] = 0.0
    arrays[2].flags.writeable = False
    state.restore(lambda what, error: told.append(what))
    assert told == ["a numpy array of shape (2, 3)"]
    assert arrays[0].tobytes() == np.array([1.0, -0.0]).tobytes()
    assert arrays[1].tobytes() == np.array([1.0, np.nan]).tobytes()


@pytest.mark.parametrize("mode", ["train", "eval", None])
def test_every_module_is_in_the_mode_of_the_block_and_in_its_own_again(mode: str | None) -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.ReLU()))
    model[1][0].eval()
    own = [module.training for module in model.modules()]
    with preserved(model, mode=mode):
        inside = [module.training for module in model.modules()]
        assert inside == (own if mode is None else [mode == "train"] * 5)
        model[1].eval()
        model[1][1].train()
    assert [module.training for module in model.modules()] == own == [True, True, True, False, True]


def test_a_rewind_says_whether_anything_was_evaluated_since() -> None:
    model = nn.BatchNorm1d(2)
    state = ModelState(model)
    state.restore()  # nothing was remembered yet
    state.remember()
    assert state.rewind() is False
    model.running_mean.add_(1)
    assert state.rewind() is True
    assert model.running_mean.tolist() == [0.0, 0.0]
    assert state.rewind() is True
    state.restore()
    state.restore()  # safe to run twice


@pytest.mark.parametrize("enabled", [True, False])
def test_gradients_are_recorded_again_if_they_were(enabled: bool) -> None:
    with torch.set_grad_enabled(enabled):
        state = ModelState(nn.ReLU())
        state.remember()
        torch.set_grad_enabled(not enabled)
        state.restore()
        assert torch.is_grad_enabled() is enabled


def test_a_tensor_is_named_by_its_place_in_the_model_if_it_has_one() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model.own = torch.ones(3)
    state = ModelState(model)
    named = {model[0].bias: "0.bias", model[1].running_var: "1.running_var", model.own: "own"}
    named[torch.ones(4, 5)] = "a tensor of shape (4, 5) and type torch.float32"
    assert [state._named(tensor) for tensor in named] == list(named.values())
    assert state._named("a container") == "a container"


def test_what_cannot_be_put_back_is_said_once_and_all_else_is_as_before() -> None:
    model = nn.Linear(2, 2)
    model.first, model.second, model.third = np.ones(2), np.ones(2), np.ones(3)
    weight = model.weight.detach().clone()
    with pytest.warns(RuntimeWarning) as caught, preserved(model):  # noqa: PT031
        for array in (model.first, model.second, model.third):
            array[...] = 0.0
            array.flags.writeable = False
        model.weight.data.zero_()
    reasons = [f"a numpy array of shape ({n},) (assignment destination is read-only)" for n in (2, 3)]
    expected = f"a probe could not put back {'; '.join(reasons)}; all else is as before"
    assert [str(one.message) for one in caught] == [expected]
    assert torch.equal(model.weight, weight)


def _nested(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = ([value], (value,), {"a": value})[level % 3]
    return value


@pytest.mark.parametrize("levels", range(7))
def test_tensors_are_found_up_to_four_levels_deep(levels: int) -> None:
    tensor = torch.ones(1)
    for shift in range(3):
        found = list(tensors_in(_nested(_nested(tensor, shift), levels - shift) if levels >= shift else tensor))
        assert [id(one) for one in found] == ([id(tensor)] if levels < 5 else [])


def test_tensors_are_found_in_order_and_a_container_in_itself_ends() -> None:
    a, b, c = (torch.ones(1) for _ in range(3))
    ring: list[Any] = [a, {"b": b, "n": None, "t": "text"}, (1, c)]
    assert [id(one) for one in tensors_in(ring)] == [id(a), id(b), id(c)]
    alone: list[Any] = [a]
    alone.append(alone)
    assert len(list(tensors_in(alone))) == 4  # once a level
    assert list(tensors_in({a})) == []


@pytest.mark.parametrize("other", [0.5, 2.0, -1.0, math.nan])
def test_arrays_have_their_content_again_whether_its_bytes_were_raised_or_lowered(other: float) -> None:
    array = np.array([1.0, 1.0])
    state = Arrays([array])
    array[1] = other
    state.restore(_fail)
    assert array.tolist() == [1.0, 1.0]
