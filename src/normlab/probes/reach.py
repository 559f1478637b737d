"""What a forward pass can reach, and so can change: a walk from the model, the batch and the loss function outwards.

Two rules, because a caller's own instruments must keep what they wrote:

    model, batch, `also`     everything: attributes, containers, plain objects, arrays, streams, tensors, gradients
    functions                what they close over, name as a global, are bound to or have as defaults (loss function,
                             hooks, a forward method): modules, tensors, streams and objects as above; of bare
                             variables, dicts and lists only the entries that hold such things. A counter or a list
                             that is appended to is a record of the caller's and stays

Not followed: libraries' own functions, iterators (they cannot be rewound), and machinery that others share: data sets,
optimizers, threads, open files, trainers.
"""

import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import partial
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

_WITHOUT_STATE = (type, types.ModuleType, Enum)
_CLEARED = (dict, OrderedDict, set)
LIMIT = 100_000  # objects; what is nearest to the model comes first


class Reach:
    """Everything that was found, each once.

    Attributes:
        tensors: dense and other tensors, parameters, buffers and gradients among them.
        arrays: numpy arrays that can be written to.
        streams: random generators of torch, numpy and Python.
        containers: attributes, dicts, lists, sets, deques, variables of functions.
        modules: the modules.
        iterators: iterators inside the batch, with a word for where.
        complete: False where there was more than `LIMIT` objects.
    """

    def __init__(self, model: nn.Module, batch: Any, functions: Iterable[Any], also: Iterable[nn.Module]) -> None:
        self.tensors: list[Tensor] = []
        self.arrays: list[np.ndarray] = []
        self.streams: list[Any] = []
        self.containers = Containers()
        self.modules: list[nn.Module] = []
        self.iterators: list[str] = []
        self.complete = True
        self._seen: dict[int, Any] = {}  # keeps what it names alive, so that an id stays that object's
        self._classes: set[type] = set()
        self._strict: deque[Any] = deque((model, *also))
        self._loose: deque[Any] = deque()
        self._follow(self._strict)
        before = len(self._seen)
        self._strict.append(batch)
        self._follow(self._strict)
        found = list(self._seen.values())[before:]
        self.iterators = [type(entry).__name__ for entry in found if isinstance(entry, Iterator)]
        self._loose.extend(functions)
        while self._loose:  # what is reached both ways is the model's
            self._follow(self._loose, at_most=1)
            self._follow(self._strict)

    def _follow(self, queue: deque[Any], at_most: int = LIMIT) -> None:
        seen = self._seen
        while queue and at_most:
            at_most -= 1
            found = queue.popleft()
            if id(found) in seen:
                continue
            if len(seen) >= LIMIT:
                self.complete = False
                queue.clear()
                return
            seen[id(found)] = found
            kind = type(found)
            visit = _VISITS.get(kind) or _VISITS.setdefault(kind, _visit_of(kind))
            visit(self, found, queue is self._loose)

    def _enqueue(self, values: Iterable[Any], loose: bool) -> None:
        (self._loose if loose else self._strict).extend([v for v in values if type(v) not in ATOMS])

    def _module(self, module: nn.Module, loose: bool) -> None:
        self.modules.append(module)
        self._attributes(module.__dict__)
        self._class_of(module, "forward")

    def _attributes(self, own: dict[str, Any]) -> None:
        """A strict dict, the empty containers in it apart: most of a torch module's own are, and stay so."""
        self.containers.add_dict(own)
        for value in [value for value in own.values() if type(value) not in ATOMS]:
            kind = type(value)
            if kind in _CLEARED and not value:
                self.containers.add_empty(value)
            elif kind is not tuple or not ATOMS.issuperset(map(type, value)):  # (3, 3): the size of a kernel
                self._strict.append(value)

    def _object(self, found: Any, loose: bool) -> None:
        if isinstance(found, types.SimpleNamespace) and loose:
            self._dict(found.__dict__, loose)
            return
        own = getattr(found, "__dict__", None)
        own = own if type(own) is dict else {}
        slots = [name for kind in type(found).__mro__ for name in slot_names(kind)]
        values = [getattr(found, name) for name in slots if hasattr(found, name)]
        if any(map(is_shared, own.values())) or any(map(is_shared, values)):
            return
        if own or hasattr(found, "__dict__"):
            self._attributes(own)
        if slots:
            self.containers.add_slots(found, slots)
            self._enqueue(values, False)
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
            self._enqueue([kind.__dict__.get(method)], True)
            if isinstance(found, nn.Module):
                shared = {name: value for name, value in kind.__dict__.items() if is_shared_value(name, value)}
                self.containers.add_class(kind, shared)
                self._enqueue(shared.values(), False)

    def _dict(self, found: dict[Any, Any], loose: bool) -> None:
        if loose:
            self.containers.add_entries(found, {key: v for key, v in dict.items(found) if _holds_state(v)})
        else:
            self.containers.add_dict(found)
        self._enqueue(dict.keys(found), False)
        self._enqueue(dict.values(found), loose)
        if type(found) not in (dict, OrderedDict):
            self._attributes(getattr(found, "__dict__", {}))

    def _list(self, found: Any, loose: bool) -> None:
        if not loose or any(map(_holds_state, found)):
            self.containers.add_list(found, may_grow=loose)
        self._enqueue(found, loose)
        if type(found) not in (list, deque):
            self._attributes(getattr(found, "__dict__", {}))

    def _set(self, found: Any, loose: bool) -> None:
        if not loose and isinstance(found, set):
            self.containers.add_set(found)
        self._enqueue(found, loose)

    def _tuple(self, found: tuple[Any, ...], loose: bool) -> None:
        self._enqueue(found, loose)
        if type(found) is not tuple and getattr(found, "__dict__", None):
            self._attributes(found.__dict__)

    def _bytes(self, found: bytearray, loose: bool) -> None:
        self.containers.add_bytes(found)

    def _array(self, found: np.ndarray, loose: bool) -> None:
        if found.flags.writeable:
            self.arrays.append(found)
        if found.dtype == object:
            self._enqueue(found.flat, loose)

    def _tensor(self, found: Tensor, loose: bool) -> None:
        self.tensors.append(found)
        if found.is_leaf and found.grad is not None:
            self._enqueue([found.grad], loose)
        own = found.__dict__
        if own:
            self._attributes(own)
        else:
            self.containers.add_empty(own)
        if hasattr(found, "__tensor_flatten__"):
            self._enqueue([getattr(found, name) for name in found.__tensor_flatten__()[0]], loose)

    def _stream(self, found: Any, loose: bool) -> None:
        self.streams.append(found)

    def _frame(self, found: Any, loose: bool) -> None:
        self.containers.add_frame(found)

    def _method(self, found: types.MethodType, loose: bool) -> None:
        self._enqueue([found.__self__, found.__func__], loose)

    def _partial(self, found: partial[Any], loose: bool) -> None:
        self._enqueue([found.func, *found.args, *found.keywords.values()], True)

    def _function(self, found: types.FunctionType, loose: bool) -> None:
        if root(found) in LIBRARIES and not found.__closure__:
            return
        self.containers.add_cells([cell for cell in found.__closure__ or () if _holds_state(content(cell))])
        self._enqueue(map(content, found.__closure__ or ()), True)
        if root(found) not in LIBRARIES:
            named = {name: found.__globals__[name] for name in names(found.__code__) if name in found.__globals__}
            self.containers.add_entries(found.__globals__, {n: v for n, v in named.items() if _holds_state(v)})
            self._enqueue(named.values(), True)
        self._enqueue([*(found.__defaults__ or ()), *(found.__kwdefaults__ or {}).values()], True)
        if found.__dict__:
            self._dict(found.__dict__, True)

    def _nothing(self, found: Any, loose: bool) -> None:
        pass


Visit = Callable[[Reach, Any, bool], None]
_VISITS: dict[type, Visit] = {}
_ORDER: tuple[tuple[Any, Visit], ...] = (
    (Tensor, Reach._tensor),
    (nn.Module, Reach._module),
    (STREAMS, Reach._stream),
    (np.ndarray, Reach._array),
    (types.MethodType, Reach._method),
    (types.FunctionType, Reach._function),
    (partial, Reach._partial),
)
_CONTAINERS: tuple[tuple[Any, Visit], ...] = (
    (dict, Reach._dict),
    (list | deque, Reach._list),
    (set | frozenset, Reach._set),
    (tuple, Reach._tuple),
    (bytearray, Reach._bytes),
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
    return Reach._frame if any(base.__name__ == "NDFrame" for base in kind.__mro__) else Reach._object


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
    return visit not in (Reach._nothing, Reach._function, Reach._method, Reach._partial, Reach._bytes)
