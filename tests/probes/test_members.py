"""Lists, sets, bytes, slots, classes and variables have their members again, the same objects, and are left alone while
nothing has changed."""

import types
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from normlab.probes.containers import Containers

A, B, C = [1], [2], [1]  # two of them equal


def _fail(what: Any, error: BaseException) -> None:
    raise AssertionError(what) from error


def _refilled(add: Callable[[Containers], object], change: Callable[[], object]) -> None:
    containers = Containers()
    add(containers)
    change()
    containers.refill(_fail)


LISTS: dict[str, Callable[[Any], object]] = {
    "nothing": lambda found: None,
    "appended": lambda found: found.append(C),
    "appended twice": lambda found: found.extend([C, A]),
    "an equal member": lambda found: found.__setitem__(0, C),
    "the last is another": lambda found: found.__setitem__(1, A),
    "one less": lambda found: found.pop(),
    "the first gone and one more": lambda found: (found.__delitem__(0), found.append(C)),
    "turned around": lambda found: found.reverse(),
    "emptied": lambda found: found.clear(),
    "before the first": lambda found: found.insert(0, C),
}
GROWN = ("appended", "appended twice")


@pytest.mark.parametrize("may_grow", [False, True])
@pytest.mark.parametrize("change", LISTS)
@pytest.mark.parametrize("kind", [list, deque])
def test_members_of_lists(kind: type, change: str, may_grow: bool) -> None:
    found = kind([A, B])
    alter = LISTS[change]
    _refilled(lambda containers: containers.add_list(found, may_grow), lambda: alter(found))
    expected = [A, B] if change not in GROWN or not may_grow else kind([A, B])
    if change in GROWN and may_grow:
        alter(expected)
    assert list(map(id, found)) == list(map(id, expected))


def test_a_deque_keeps_its_length_limit() -> None:
    found: deque[Any] = deque([A, B], maxlen=2)
    _refilled(lambda containers: containers.add_list(found, False), lambda: found.append(C))
    assert (list(map(id, found)), found.maxlen) == ([id(A), id(B)], 2)


class Name:
    """Equal to others of its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Name) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def test_members_of_sets_are_the_same_objects() -> None:
    a, b, again = Name("a"), Name("b"), Name("a")
    changes: list[Callable[[set[Any]], object]] = [
        lambda found: None,
        lambda found: found.add(1),
        lambda found: found.discard(b),
        lambda found: found.clear(),
        lambda found: (found.discard(a), found.add(again)),
    ]
    for change in changes:
        found = {a, b}
        _refilled(lambda containers, found=found: containers.add_set(found), lambda found=found: change(found))  # type: ignore[misc]  # noqa: B023
        assert {id(one) for one in found} == {id(a), id(b)}


@pytest.mark.parametrize("make", [lambda: bytearray(b"ab"), lambda: array("d", [1.0, -0.0])], ids=["bytes", "array"])
def test_content_of_bytes_and_arrays(make: Callable[[], Any]) -> None:
    changes: list[Callable[[Any], object]] = [
        lambda found: None,
        lambda found: found.append(7),
        lambda found: found.pop(),
        lambda found: found.__setitem__(0, 9),
        lambda found: found.__setitem__(1, 0),  # equal to -0.0, with other bits
    ]
    for change in changes:
        found = make()
        containers = Containers()
        containers.add_bytes(found)
        for _ in range(2):  # every time
            change(found)
            containers.refill(_fail)
            assert bytes(found) == bytes(make())


def test_content_of_frames() -> None:
    found = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    before, containers = found.copy(), Containers()
    containers.add_frame(found)
    for _ in range(2):
        found.loc[0, "a"] = 9.0
        found["c"] = 1
        containers.refill(_fail)
        pd.testing.assert_frame_equal(found, before)


NUMBERS = np.ones(2)  # equal to others number by number


class Slots:
    __slots__ = ("full", "other", "vacant")

    def __init__(self) -> None:
        self.full, self.other = A, NUMBERS


def test_attributes_in_slots() -> None:
    changes: list[Callable[[Slots], object]] = [
        lambda found: None,
        lambda found: setattr(found, "full", C),
        lambda found: setattr(found, "vacant", C),
        lambda found: delattr(found, "other"),
        lambda found: (setattr(found, "full", B), setattr(found, "other", A), setattr(found, "vacant", None)),
    ]
    for change in changes:
        found = Slots()
        containers = Containers()
        containers.add_slots(found, ["full", "other", "vacant"])
        change(found)
        containers.refill(_fail)
        assert found.full is A
        assert found.other is NUMBERS
        assert not hasattr(found, "vacant")


def test_values_of_a_class_and_no_others() -> None:
    class Shared:
        one: Any = A
        two: Any = B
        own = 0

    containers = Containers()
    containers.add_class(Shared, {"one": A, "two": B})
    containers.add_class(Slots, {})
    Shared.one, Shared.own = C, 5
    del Shared.two
    containers.refill(_fail)
    assert Shared.one is A
    assert Shared.two is B
    assert Shared.own == 5


def test_some_entries_of_a_dict_and_not_the_callers_own() -> None:
    for kind in (dict, OrderedDict):
        found = kind(state=A, record=0, gone=B)
        containers = Containers()
        containers.add_entries(found, {"state": A, "gone": B})
        containers.add_entries(found, {})
        found["state"], found["record"], found["new"] = C, 1, 2
        del found["gone"]
        containers.refill(_fail)
        assert found["state"] is A
        assert found["gone"] is B
        assert (found["record"], found["new"]) == (1, 2)


def test_variables_of_functions() -> None:
    cells = [types.CellType(A), types.CellType(B), types.CellType(None)]
    containers = Containers()
    containers.add_cells(cells)
    cells[0].cell_contents = C
    del cells[1].cell_contents
    containers.refill(_fail)
    assert cells[0].cell_contents is A
    assert cells[1].cell_contents is B
    assert cells[2].cell_contents is None


class Frozen(list[Any]):
    """Breaks when it is asked how long it is."""

    broken = False

    def __len__(self) -> int:
        if self.broken:
            raise RuntimeError("broken")
        return super().__len__()


def test_one_that_does_not_take_its_members_is_told_of_and_the_others_have_theirs() -> None:
    broken, found = Frozen([A]), [A, B]
    containers, told = Containers(), []
    containers.add_list(broken, False)
    containers.add_list(found, False)
    broken.broken = True
    found.clear()
    containers.refill(lambda what, error: told.append((what, str(error))))
    assert told == [("a container", "broken")]
    assert [id(one) for one in found] == [id(A), id(B)]


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("change", [lambda d: d.update(z=C), lambda d: d.pop("b"), lambda d: d.update(a=C)])
def test_of_many_dicts_each_has_its_own_entries(change: Callable[[dict[str, Any]], object], position: int) -> None:
    dicts: list[dict[str, Any]] = [{"a": A, "b": B}, {"a": B, "b": A, "c": C}, {"b": C, "a": A}]
    before = [[(key, id(value)) for key, value in one.items()] for one in dicts]
    containers = Containers()
    assert containers.add_dicts(dicts[:2], named=True) == [A, B, B, A, C]
    assert containers.add_dicts([OrderedDict(x=A), dicts[2]], named=True) == [C, A, A]  # those of plain ones first
    for _ in range(2):
        change(dicts[position])
        containers.refill(_fail)
        assert [[(key, id(value)) for key, value in one.items()] for one in dicts] == before
