"""Kinds of objects that a walk over a model tells apart, each by examples on both sides."""

import io
import logging
import queue
import socket
import threading
import types
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from normlab.probes.kinds import LIBRARIES, content, is_machinery, is_shared, is_shared_value, names, root, slot_names


def _of(module: str, *bases: type) -> type:
    """A class that says it is defined in this module."""
    return type("Made", bases, {"__module__": module})


WORKINGS = (
    *("asyncio", "tqdm.std", "wandb.sdk", "pytorch_lightning.trainer", "torch._dynamo", "torch._C", "torch.autograd"),
    *("torch.cuda.streams", "torch.distributed", "torch.fx.graph", "torch.jit._script", "torch.utils.data.dataset"),
    *("torch.utils.tensorboard", "transformers.trainer", "normlab.integrations.lightning"),
)
MODELS = (
    *("__main__", "mine", "tqdmlike", "my.logging", "torch", "torch.nn.modules", "torch.utils", "torch.distributions"),
    *("transformers.models", "transformers", "normlab.nn", "numpy.random", "torch.fxlike"),
)


@pytest.mark.parametrize("module", WORKINGS)
def test_workings_of_libraries_are_known_by_their_module_and_so_is_what_derives_from_them(module: str) -> None:
    kind = _of(module)
    assert is_machinery(kind)
    assert is_machinery(_of("mine", _of("also.mine", kind), _of("mine")))
    assert is_machinery(_of("mine", _of("mine"), kind))


@pytest.mark.parametrize("module", MODELS)
def test_classes_of_a_models_own_are_no_workings(module: str) -> None:
    assert not is_machinery(_of(module))
    assert not is_machinery(_of("mine", _of(module), dict))


def test_what_a_thread_or_the_outside_shares(tmp_path: Any) -> None:
    with socket.socket() as plug, (tmp_path / "open").open("w") as file:
        for shared in (threading.Lock(), threading.RLock(), threading.Event(), threading.Thread(), file, io.BytesIO()):
            assert is_shared(shared), shared
        assert is_shared(_of("_socket")())
        for own in (queue, plug.family, 1, "text", torch.ones(1), nn.ReLU(), logging.getLogger(), np.ones(1)):
            assert not is_shared(own), own


def test_libraries_are_pythons_and_those_of_numbers_and_not_the_callers_own_program() -> None:
    assert {"os", "random", "collections", "torch", "numpy", "scipy", "pandas", "torchvision"} <= LIBRARIES
    assert not {"__main__", "", "tests", "normlab"} & LIBRARIES


class Classwide:
    """A class with values that its instances share, and code and bookkeeping beside them."""

    __slots__ = ()
    __table__ = 1
    number, table, nothing = 0, {"a": 1}, None
    __private, _protected, named__, __open = 1, 2, 3, 4

    def method(self) -> None: ...

    @property
    def computed(self) -> int:
        return 1

    kept = cached_property(lambda self: 1)
    alias, module, called = staticmethod(len), types, nn.ReLU()
    _abc_impl = 5


def test_values_that_a_class_keeps_for_its_instances() -> None:
    found = {name for name, value in Classwide.__dict__.items() if is_shared_value(name, value)}
    plain = {"number", "table", "nothing", "_protected", "named__"}
    assert found == plain | {"_Classwide__private", "_Classwide__open"}


def _empty() -> Callable[[], object]:
    def later() -> object:
        return value  # noqa: F821 (deleted on purpose)

    value = 1
    del value
    return later


def test_a_variable_that_has_no_value_yet_is_none() -> None:
    value = [1]
    full: Any = lambda: value  # noqa: E731
    empty: Any = _empty()
    assert content(full.__closure__[0]) is value
    assert content(empty.__closure__[0]) is None


def test_names_in_the_code_of_a_function_are_those_of_the_functions_inside_too() -> None:
    def outer() -> Any:
        first()  # type: ignore[name-defined]  # noqa: F821
        return lambda: [second.attribute for _ in range(2) if (lambda: third)()]  # type: ignore[name-defined]  # noqa: F821

    assert names(outer.__code__) >= {"first", "second", "attribute", "range", "third"}
    assert names((lambda: 1).__code__) == set()


def test_the_top_package_of_what_was_defined_there() -> None:
    assert root(nn.Linear) == "torch"
    assert root(_of("a.b.c")) == "a"
    assert root(_of("alone")) == "alone"
    assert root(_of("")) == ""
    assert root(types.SimpleNamespace(__module__=None)) == ""
    assert root(types.SimpleNamespace()) == ""


def _slotted(name: str, slots: Any) -> type:
    return type(name, (), {} if slots is None else {"__slots__": slots})


@pytest.mark.parametrize(
    ("name", "slots", "expected"),
    [
        ("Plain", None, []),
        ("Plain", (), []),
        ("Plain", "one", ["one"]),
        ("Plain", ("a", "_b", "c__"), ["a", "_b", "c__"]),
        ("Plain", ["a", "__dict__", "__weakref__"], ["a"]),
        ("Plain", ("__secret", "__known__"), ["_Plain__secret", "__known__"]),
        ("__Hidden", ("__secret",), ["_Hidden__secret"]),
    ],
)
def test_attributes_in_slots_are_named_as_python_keeps_them(name: str, slots: Any, expected: list[str]) -> None:
    kind = _slotted(name, slots)
    assert slot_names(kind) == expected
    assert all(isinstance(kind.__dict__[one], types.MemberDescriptorType) for one in expected)
