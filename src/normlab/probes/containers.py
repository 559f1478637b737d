"""Who holds whom: attributes, dicts, lists, sets and variables of functions, remembered by the identity of what is in
them and refilled where that has changed."""

import types
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain
from operator import is_
from typing import Any

_MISSING = object()


class Containers:
    """Many containers; `refill` gives each its members back, the same objects in the same order.

    Nearly nothing changes in an evaluation, so all plain dicts are compared in one pass before any is looked at.
    """

    def __init__(self) -> None:
        self._dicts: list[dict[Any, Any]] = []
        self._lengths: list[int] = []
        self._keys: list[Any] = []  # of all dicts in a row
        self._named = True  # all keys are strings: names, which are the same where they are equal
        self._values: list[Any] = []
        self._empty: list[Any] = []
        self._others: list[tuple[Callable[[], bool], Callable[[], None]]] = []

    def add_dicts(self, found: Iterable[dict[Any, Any]], named: bool) -> list[Any]:
        """All entries and their order; returns the values. `named`: all keys are strings."""
        plain = []
        values: list[Any] = []
        for one in found:
            if isinstance(one, OrderedDict):  # keeps an order of its own, which dict's methods do not see
                self._add_ordered(one)
                values.extend(OrderedDict.values(one))
            else:
                plain.append(one)
        before = len(self._values)
        self._named = self._named and named
        self._dicts.extend(plain)
        self._lengths.extend(map(dict.__len__, plain))
        self._keys.extend(chain.from_iterable(map(dict.keys, plain)))
        self._values.extend(chain.from_iterable(map(dict.values, plain)))
        return self._values[before:] + values

    def add_empty(self, found: Iterable[dict[Any, Any] | set[Any]]) -> None:
        """Dicts and sets that have no entries."""
        self._empty.extend(found)

    def add_entries(self, found: dict[Any, Any], entries: dict[Any, Any]) -> None:
        """Some entries; the others are the caller's own."""
        if entries:
            same = _same_entries(found, entries)
            self._others.append((same, lambda: dict.update(found, entries)))

    def add_list(self, found: Any, may_grow: bool) -> None:
        """The members of a list or deque; one that may grow counts as unchanged while it was only appended to."""
        members = list(found)

        def same() -> bool:
            enough = len(found) >= len(members) if may_grow else len(found) == len(members)
            return enough and all(map(is_, found, members))

        def refill() -> None:
            if isinstance(found, list):
                list.__setitem__(found, slice(None), members)
            else:
                deque.clear(found)
                deque.extend(found, members)

        self._others.append((same, refill))

    def add_set(self, found: set[Any]) -> None:
        """The members of a set."""
        members = {id(member): member for member in found}

        def refill() -> None:
            set.clear(found)
            set.update(found, members.values())

        self._others.append((lambda: set(map(id, found)) == members.keys(), refill))

    def add_bytes(self, found: "bytearray | array[Any]") -> None:
        """The content of a bytearray or an array of Python's."""
        content, as_bytes = found[:], bytes(found)  # -0.0 equals 0.0, but for its bytes
        refill = lambda: found.__setitem__(slice(None), content)  # type: ignore[index,assignment]  # noqa: E731
        self._others.append((lambda: bytes(found) == as_bytes, refill))

    def add_frame(self, found: Any) -> None:
        """The content of a pandas object, which lies in a manager of its own."""
        content = found.copy()
        refill = lambda: object.__setattr__(found, "_mgr", content.copy()._mgr)  # noqa: E731
        self._others.append((lambda: found.equals(content), refill))

    def add_slots(self, found: Any, names: Sequence[str]) -> None:
        """Attributes of an object that has slots."""
        values = [getattr(found, name, _MISSING) for name in names]

        def refill() -> None:
            for name, value in zip(names, values, strict=True):
                if value is not _MISSING:
                    object.__setattr__(found, name, value)
                elif hasattr(found, name):
                    object.__delattr__(found, name)

        def same() -> bool:
            return all(getattr(found, name, _MISSING) is value for name, value in zip(names, values, strict=True))

        self._others.append((same, refill))

    def add_class(self, kind: type, values: dict[str, Any]) -> None:
        """Values that a class keeps for all its instances."""

        def refill() -> None:
            for name, value in values.items():
                if kind.__dict__.get(name, _MISSING) is not value:
                    setattr(kind, name, value)

        if values:
            same = lambda: all(kind.__dict__.get(n, _MISSING) is value for n, value in values.items())  # noqa: E731
            self._others.append((same, refill))

    def add_cells(self, cells: Iterable[types.CellType]) -> None:
        """Variables that a function closes over."""
        for cell in cells:
            self._add_cell(cell, cell.cell_contents)

    def refill(self, failed: Callable[[Any, BaseException], None]) -> None:
        """Members as remembered; `failed(what, error)` is told of a container that does not take them."""
        if not self._dicts_are_same():
            ends = list(accumulate(self._lengths))
            for found, length, end in zip(self._dicts, self._lengths, ends, strict=True):
                keys, values = self._keys[end - length : end], self._values[end - length : end]
                if not _is_same(found, keys, values):
                    dict.clear(found)
                    dict.update(found, zip(keys, values, strict=True))
        if any(self._empty):
            for found in self._empty:
                found.clear()
        for same, refill in self._others:
            try:
                if not same():
                    refill()
            except Exception as error:
                failed("a container", error)

    def _dicts_are_same(self) -> bool:
        values = chain.from_iterable(map(dict.values, self._dicts))
        if list(map(dict.__len__, self._dicts)) != self._lengths or not all(map(is_, values, self._values)):
            return False
        keys = chain.from_iterable(map(dict.keys, self._dicts))
        return list(keys) == self._keys if self._named else all(map(is_, keys, self._keys))

    def _add_ordered(self, found: OrderedDict[Any, Any]) -> None:
        keys, values = tuple(OrderedDict.keys(found)), tuple(OrderedDict.values(found))

        def same() -> bool:
            now = OrderedDict.keys(found), OrderedDict.values(found)
            return len(found) == len(keys) and all(map(is_, now[0], keys)) and all(map(is_, now[1], values))

        def refill() -> None:
            OrderedDict.clear(found)
            for key, value in zip(keys, values, strict=True):
                OrderedDict.__setitem__(found, key, value)

        self._others.append((same, refill))

    def _add_cell(self, cell: types.CellType, content: Any) -> None:
        def same() -> bool:
            try:
                return cell.cell_contents is content
            except ValueError:  # the variable was deleted
                return False

        self._others.append((same, lambda: setattr(cell, "cell_contents", content)))


def _is_same(found: dict[Any, Any], keys: list[Any], values: list[Any]) -> bool:
    return (
        dict.__len__(found) == len(keys)
        and all(map(is_, dict.keys(found), keys))
        and all(map(is_, dict.values(found), values))
    )


def _same_entries(found: dict[Any, Any], entries: dict[Any, Any]) -> Callable[[], bool]:
    return lambda: all(dict.get(found, key, _MISSING) is value for key, value in entries.items())
