"""What a forward pass can reach: through which holders a tensor is found, which variables are put back, and what is not
followed."""

import threading
from array import array
from collections import Counter, OrderedDict, UserDict, deque
from collections.abc import Callable
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.probes.reach import Reach


class Thing:
    """With attributes, and a method."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def method(self) -> Any: ...


class Slotted:
    __slots__ = ("held", "vacant")


class Listed(list[Any]): ...


class Mapped(dict[Any, Any]): ...


class Tupled(tuple[Any, ...]): ...


class Pair(NamedTuple):
    x: Any
    y: Any


def with_attribute(holder: Any, value: Any) -> Any:
    holder.held = value
    return holder


def closed_over(value: Any) -> Callable[[], Any]:
    return lambda: value


def with_default(value: Any) -> Callable[..., Any]:
    def call(a: Any = value) -> Any: ...

    return call


def with_named_default(value: Any) -> Callable[..., Any]:
    def call(*, a: Any = value) -> Any: ...

    return call


def of_objects(value: Any) -> np.ndarray:
    found = np.empty((2, 1), dtype=object)
    found[1, 0] = value
    return found


def with_gradient(leaf: Tensor, value: Tensor) -> Tensor:
    leaf.grad = value
    return leaf


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda t: t,
    "list": lambda t: [1, t],
    "deque": lambda t: deque([1, t]),
    "tuple": lambda t: (1, t),
    "set": lambda t: {1, t},
    "frozenset": lambda t: frozenset([1, t]),
    "value": lambda t: {"a": 1, "b": t},
    "key": lambda t: {t: 1},
    "ordered": lambda t: OrderedDict(a=1, b=t),
    "counter": lambda t: Counter({t: 1}),
    "user dict": lambda t: UserDict(a=t),
    "named tuple": lambda t: Pair(1, t),
    "member of a derived list": lambda t: Listed([t]),
    "attribute of a list": lambda t: with_attribute(Listed(), t),
    "value of a derived dict": lambda t: Mapped(a=t),
    "attribute of a dict": lambda t: with_attribute(Mapped(), t),
    "attribute of a tuple": lambda t: with_attribute(Tupled(), t),
    "attribute": lambda t: Thing(a=t),
    "slot": lambda t: with_attribute(Slotted(), t),
    "namespace": lambda t: SimpleNamespace(a=t),
    "array of objects": of_objects,
    "variable": closed_over,
    "default": with_default,
    "named default": with_named_default,
    "attribute of a function": lambda t: with_attribute(closed_over(1), t),
    "method's object": lambda t: Thing(a=t).method,
    "function of a partial": lambda t: partial(closed_over(t)),
    "argument of a partial": lambda t: partial(print, 1, t),
    "keyword of a partial": lambda t: partial(print, a=1, b=t),
    "attribute of a tensor": lambda t: with_attribute(torch.ones(1), t),
    "gradient": lambda t: with_gradient(torch.ones(1, requires_grad=True), t),
    "attribute of a module": lambda t: with_attribute(nn.ReLU(), t),
    "forward hook": lambda t: _hooked(t),
}


def _hooked(value: Any) -> nn.Module:
    module = nn.ReLU()
    module.register_forward_hook(partial(print, value))
    return module


PLACES: dict[str, Callable[[Any], Reach]] = {
    "batch": lambda held: Reach(nn.ReLU(), held, (), ()),
    "model": lambda held: Reach(with_attribute(nn.ReLU(), held), None, (), ()),
    "module outside": lambda held: Reach(nn.ReLU(), None, (), [nn.ReLU(), with_attribute(nn.ReLU(), held)]),
    "second function": lambda held: Reach(nn.ReLU(), None, [print, closed_over(held)], ()),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HOLDERS)
def test_a_tensor_is_found_through_whatever_holds_it(name: str, place: str) -> None:
    tensor = torch.ones(1)
    held = HOLDERS[name](tensor)
    reach = PLACES[place](held)
    assert sum(one is tensor for one in reach.tensors) == 1
    twice = PLACES[place]([{"a": HOLDERS[name](tensor)}, (HOLDERS[name](tensor),)])
    assert sum(one is tensor for one in twice.tensors) == 1


class Guarded:
    """Shared with a thread."""

    def __init__(self, value: Any) -> None:
        self.lock, self.held = threading.Lock(), value


def yielding(value: Any) -> Any:
    yield value


NOT_FOLLOWED: dict[str, Callable[[Any], Any]] = {
    "data set": torch.utils.data.TensorDataset,
    "object with a lock": Guarded,
    "class": lambda t: type("Kind", (), {"held": t}),
    "iterator": lambda t: iter([t]),
    "generator": yielding,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_what_is_not_followed(name: str, place: str) -> None:
    tensor = torch.ones(1)
    reach = PLACES[place]([NOT_FOLLOWED[name](tensor)])
    assert not any(one is tensor for one in reach.tensors)
    assert bool(reach.iterators) == (place == "batch" and name in ("iterator", "generator"))


def test_each_kind_has_its_list() -> None:
    shared, stream, twister = torch.ones(1), Random(1), np.random.default_rng(1)
    fixed, free = np.ones(2), np.ones(2)
    fixed.flags.writeable = False
    inner, outer = nn.BatchNorm1d(2), nn.Linear(2, 2)
    model = nn.Sequential(inner, inner)
    batch = [shared, fixed, free, stream, {"r": twister, "g": torch.Generator()}, iter(()), [zip()]]
    reach = Reach(model, batch, [closed_over(free)], [outer])
    assert [id(one) for one in reach.arrays] == [id(free)]
    assert {type(one) for one in reach.streams} == {Random, np.random.Generator, torch.Generator}
    assert {id(one) for one in reach.modules} == {id(model), id(inner), id(outer)}
    tensors = [*model.parameters(), *model.buffers(), *outer.parameters()]
    assert reach.registered >= {id(one) for one in tensors}
    assert id(shared) not in reach.registered
    assert sorted(reach.iterators) == sorted(["tuple_iterator", "zip"])
    assert {id(one) for one in reach.tensors} >= {id(shared), *map(id, tensors)}


STATE: dict[str, Callable[[], Any]] = {
    "tensor": lambda: torch.ones(1),
    "parameter": lambda: nn.Parameter(torch.ones(1)),
    "module": nn.ReLU,
    "array": lambda: np.ones(1),
    "stream": Random,
    "object": Thing,
    "counter": Counter,
    "list": lambda: [1, torch.ones(1)],
    "tuple": lambda: (torch.ones(1), 1),
    "set": lambda: {torch.ones(1)},
    "frozenset": lambda: frozenset([torch.ones(1)]),
    "deque": lambda: deque([1, torch.ones(1)]),
    "dict": lambda: {"a": 1, "b": torch.ones(1)},
    "ordered": lambda: OrderedDict(a=torch.ones(1)),
    "three levels": lambda: [({"a": torch.ones(1)},)],
    "three levels of dicts": lambda: {"a": {"b": OrderedDict(c=torch.ones(1))}},
}
RECORDS: dict[str, Callable[[], Any]] = {
    "number": lambda: 1.5,
    "text": lambda: "text",
    "type": lambda: torch.float64,
    "module of Python": lambda: threading,
    "function": lambda: closed_over(1),
    "method": lambda: Thing().method,
    "partial": lambda: partial(print),
    "bytes": lambda: bytearray(b"ab"),
    "array of Python": lambda: array("d", [1.0]),
    "iterator": lambda: iter([torch.ones(1)]),
    "empty list": list,
    "empty dict": dict,
    "numbers": lambda: [1, (2.0, {"a": 3})],
    "four levels": lambda: [[[[torch.ones(1)]]]],
    "four levels of dicts": lambda: {"a": {"b": {"c": {"d": torch.ones(1)}}}},
}


@pytest.mark.parametrize("name", [*STATE, *RECORDS])
def test_variables_of_a_loss_are_put_back_if_they_hold_state_and_are_records_if_not(name: str) -> None:
    value = (STATE | RECORDS)[name]()
    function: Any = closed_over(value)
    [cell] = function.__closure__
    entries = {"a": value}
    reach = Reach(nn.ReLU(), None, [function, closed_over([torch.ones(1), entries])], ())
    cell.cell_contents = entries["a"] = "another"
    reach.containers.refill(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert (cell.cell_contents is value, entries["a"] is value) == (name in STATE, name in STATE)


def test_an_object_without_attributes_has_none_again() -> None:
    bare, held = Thing(), Thing(a=1)
    reach = Reach(with_attribute(nn.ReLU(), [bare, held]), None, (), ())
    bare.__dict__["late"] = held.__dict__["late"] = 1
    reach.containers.refill(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert (vars(bare), vars(held)) == ({}, {"a": 1})
