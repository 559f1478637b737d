"""What a forward pass can reach, and so can change: a walk from the model, the batch and the loss function outwards.

Two rules, because a caller's own instruments must keep what they wrote:

    model, batch, `also`     everything: attributes, containers, plain objects, arrays, streams, tensors, gradients
    functions                what they close over, name as a global, are bound to or have as defaults (loss function,
                             hooks, a forward method): modules, tensors, streams and objects as above; of bare
                             variables, dicts and lists only the entries that hold such things. A counter or a list
                             that is appended to is a record of the caller's and stays

Not followed: libraries' own functions, iterators (they cannot be rewound), and machinery that others share: data sets,
threads, open files, trainers.
"""

import types
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import partial
from itertools import chain, filterfalse
from operator import attrgetter
from typing import Any

import numpy as np
from torch import Tensor, nn

from normlab.probes.containers import Containers
from normlab.probes.kinds import (
    ATOMS,
    LIBRARIES,
    STREAMS,
    content,
    is_machinery,
    is_shared,
    is_shared_value,
    names,
    root,
    slot_names,
)
from normlab.probes.walk import Walk, by_kind

_WITHOUT_STATE = (type, types.ModuleType, Enum)
_NAMES = frozenset((str,))
_CLEARED = frozenset((dict, OrderedDict, set))
_PARAMETERS, _BUFFERS = attrgetter("_parameters"), attrgetter("_buffers")


class Reach(Walk):
    """Everything that was found, each once.

    Attributes:
        tensors: dense and other tensors, parameters, buffers and gradients among them.
        arrays: numpy arrays that can be written to.
        streams: random generators of torch, numpy and Python.
        containers: attributes, dicts, lists, sets, deques, variables of functions.
        modules: the modules.
        registered: ids of their parameters and buffers.
        iterators: iterators inside the batch, with a word for where.
    """

    def __init__(self, model: nn.Module, batch: Any, functions: Iterable[Any], also: Iterable[nn.Module]) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []
        self.arrays: list[np.ndarray] = []
        self.streams: list[Any] = []
        self.containers = Containers()
        self.modules: list[nn.Module] = []
        self.registered: set[int] = set()
        self.iterators: list[str] = []
        self._classes: set[type] = set()
        self.enqueue([model, *also], False)
        self.follow_strict()
        before = len(self.seen)
        self.enqueue([batch], False)
        self.follow_strict()
        found = list(self.seen.values())[before:]
        self.iterators = [type(entry).__name__ for entry in found if isinstance(entry, Iterator)]
        self.enqueue(functions, True)
        self.follow()

    def visit(self, kind: type, found: list[Any], loose: bool) -> None:
        """Objects of one class, seen for the first time."""
        visit = _VISITS.get(kind) or _VISITS.setdefault(kind, _visit_of(kind))
        visit(self, found, loose)

    def _modules(self, found: list[nn.Module], loose: bool) -> None:
        self.modules.extend(found)
        for kind in (_PARAMETERS, _BUFFERS):
            held = [members.values() for members in map(kind, found) if members]
            self.registered.update(map(id, chain.from_iterable(held)))
        self._attributes([module.__dict__ for module in found])
        self._class_of(found[0], "forward")

    def _attributes(self, owned: Iterable[dict[str, Any]]) -> None:
        """Strict dicts, the empty containers in them apart: most of a torch module's own are, and stay so."""
        kinds = by_kind(self.containers.add_dicts(owned, named=True))
        for kind in _CLEARED.intersection(kinds):
            self.containers.add_empty(filterfalse(None, kinds[kind]))
            kinds[kind] = list(filter(None, kinds[kind]))
        # (3, 3), the size of a kernel, is atoms alone; nearly always all of them are
        if tuple in kinds and ATOMS.issuperset(map(type, chain.from_iterable(kinds[tuple]))):
            del kinds[tuple]
        self.enqueue_kinds(kinds)

    def _object(self, found: Any, loose: bool) -> None:
        if isinstance(found, types.SimpleNamespace) and loose:
            self._dicts([found.__dict__], loose)
            return
        own = getattr(found, "__dict__", None)
        own = own if type(own) is dict else {}
        slots = [name for kind in type(found).__mro__ for name in slot_names(kind)]
        values = [getattr(found, name) for name in slots if hasattr(found, name)]
        if any(map(is_shared, own.values())) or any(map(is_shared, values)):
            return
        if own or hasattr(found, "__dict__"):
            self._attributes([own])
        if slots:
            self.containers.add_slots(found, slots)
            self.enqueue(values, False)
        self._class_of(found, "__call__")

    def _class_of(self, found: Any, method: str) -> None:
        """What the class's own method names, and the values that its instances share."""
        if type(found) in self._classes:
            return
        for kind in type(found).__mro__:
            if kind in self._classes:
                continue
            self._classes.add(kind)
            if root(kind) in LIBRARIES:
                continue
            self.enqueue([kind.__dict__.get(method)], True)
            if isinstance(found, nn.Module):
                shared = {name: value for name, value in kind.__dict__.items() if is_shared_value(name, value)}
                self.containers.add_class(kind, shared)
                self.enqueue(shared.values(), False)

    def _dicts(self, found: list[dict[Any, Any]], loose: bool) -> None:
        keys = list(chain.from_iterable(map(dict.keys, found)))
        if loose:
            for one in found:
                self.containers.add_entries(one, {key: v for key, v in dict.items(one) if _holds_state(v)})
            values: Iterable[Any] = chain.from_iterable(map(dict.values, found))
        else:
            values = self.containers.add_dicts(found, named=_NAMES.issuperset(map(type, keys)))
        self.enqueue(keys, False)
        self.enqueue(values, loose)
        if type(found[0]) not in (dict, OrderedDict):
            self._attributes([getattr(one, "__dict__", {}) for one in found])

    def _list(self, found: Any, loose: bool) -> None:
        if not loose or any(map(_holds_state, found)):
            self.containers.add_list(found, may_grow=loose)
        self.enqueue(found, loose)
        if type(found) not in (list, deque):
            self._attributes([getattr(found, "__dict__", {})])

    def _set(self, found: Any, loose: bool) -> None:
        if not loose and isinstance(found, set):
            self.containers.add_set(found)
        self.enqueue(found, loose)

    def _tuple(self, found: tuple[Any, ...], loose: bool) -> None:
        self.enqueue(found, loose)
        if type(found) is not tuple and getattr(found, "__dict__", None):
            self._attributes([found.__dict__])

    def _bytes(self, found: "bytearray | array[Any]", loose: bool) -> None:
        self.containers.add_bytes(found)

    def _array(self, found: np.ndarray, loose: bool) -> None:
        if found.flags.writeable:
            self.arrays.append(found)
        if found.dtype == object:
            self.enqueue(found.flat, loose)

    def _tensors(self, found: list[Tensor], loose: bool) -> None:
        self.tensors.extend(found)
        leaves = filter(attrgetter("is_leaf"), found)  # others have no gradient, and warn when they are asked
        self.enqueue([grad for grad in map(attrgetter("grad"), leaves) if grad is not None], loose)
        owned = list(map(attrgetter("__dict__"), found))
        self.containers.add_empty(filterfalse(None, owned))
        self._attributes(filter(None, owned))
        if hasattr(type(found[0]), "__tensor_flatten__"):
            for wrapper in found:
                self.enqueue([getattr(wrapper, name) for name in wrapper.__tensor_flatten__()[0]], loose)  # type: ignore[attr-defined]

    def _stream(self, found: Any, loose: bool) -> None:
        self.streams.append(found)

    def _frame(self, found: Any, loose: bool) -> None:
        self.containers.add_frame(found)

    def _method(self, found: types.MethodType, loose: bool) -> None:
        self.enqueue([found.__self__, found.__func__], loose)

    def _partial(self, found: partial[Any], loose: bool) -> None:
        self.enqueue([found.func, *found.args, *found.keywords.values()], True)

    def _function(self, found: types.FunctionType, loose: bool) -> None:
        if root(found) in LIBRARIES and not found.__closure__:
            return
        self.containers.add_cells([cell for cell in found.__closure__ or () if _holds_state(content(cell))])
        self.enqueue(map(content, found.__closure__ or ()), True)
        if root(found) not in LIBRARIES:
            named = {name: found.__globals__[name] for name in names(found.__code__) if name in found.__globals__}
            self.containers.add_entries(found.__globals__, {n: v for n, v in named.items() if _holds_state(v)})
            self.enqueue(named.values(), True)
        self.enqueue([*(found.__defaults__ or ()), *(found.__kwdefaults__ or {}).values()], True)
        if found.__dict__:
            self._dicts([found.__dict__], True)

    def _nothing(self, found: list[Any], loose: bool) -> None:
        pass


Visit = Callable[[Reach, list[Any], bool], None]  # of objects of one class


def _each(visit: Callable[[Reach, Any, bool], None]) -> Visit:
    """The visit of many objects, one by one."""

    def visit_all(reach: Reach, found: list[Any], loose: bool) -> None:
        for one in found:
            visit(reach, one, loose)

    return visit_all


_METHODS, _FUNCTIONS = _each(Reach._method), _each(Reach._function)
_PARTIALS, _BYTES = _each(Reach._partial), _each(Reach._bytes)
_VISITS: dict[type, Visit] = {}
_ORDER: tuple[tuple[Any, Visit], ...] = (
    (Tensor, Reach._tensors),
    (nn.Module, Reach._modules),
    (STREAMS, _each(Reach._stream)),
    (np.ndarray, _each(Reach._array)),
    (types.MethodType, _METHODS),
    (types.FunctionType, _FUNCTIONS),
    (partial, _PARTIALS),
)
_CONTAINERS: tuple[tuple[Any, Visit], ...] = (
    (dict, Reach._dicts),
    (list | deque, _each(Reach._list)),
    (set | frozenset, _each(Reach._set)),
    (tuple, _each(Reach._tuple)),
    (bytearray | array, _BYTES),
)


def _visit_of(kind: type) -> Visit:
    """What to do with objects of a class; asked once a class."""
    for accepted, visit in _ORDER:
        if issubclass(kind, accepted):
            return visit
    if issubclass(kind, _WITHOUT_STATE) or hasattr(kind, "__next__") or is_machinery(kind):
        return Reach._nothing
    for accepted, visit in _CONTAINERS:
        if issubclass(kind, accepted):
            return visit
    return _each(Reach._frame if any(base.__name__ == "NDFrame" for base in kind.__mro__) else Reach._object)


def _holds_state(value: Any, depth: int = 3) -> bool:
    """Whether a variable holds what an evaluation can change in place: a tensor, a module, a stream, an object."""
    kind = type(value)
    if kind in ATOMS:
        return False
    if issubclass(kind, Mapping) and kind in (dict, OrderedDict):
        return depth > 0 and any(_holds_state(v, depth - 1) for v in value.values())
    if issubclass(kind, list | tuple | set | frozenset | deque):
        return depth > 0 and any(_holds_state(v, depth - 1) for v in value)
    visit = _VISITS.get(kind) or _VISITS.setdefault(kind, _visit_of(kind))
    return visit not in (Reach._nothing, _FUNCTIONS, _METHODS, _PARTIALS, _BYTES)
