"""Containers have the same members again, by identity, in the same order and under the same keys."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import pytest

from normlab.probes.containers import Containers


def _fail(what: Any, error: BaseException) -> None:
    raise AssertionError(what) from error


def _as_it_is(found: dict[Any, Any]) -> list[tuple[type, Any, int]]:
    return [(type(key), key, id(value)) for key, value in found.items()]


def _swapped(found: dict[Any, Any]) -> None:
    found["a"], found["b"] = found["b"], found["a"]


def _renamed(found: dict[Any, Any]) -> None:
    found["c"] = found.pop("b")  # the last: same values in the same order


def _equal(found: dict[Any, Any]) -> None:
    found["b"] = [2]  # equal to what it replaces


def _reordered(found: dict[Any, Any]) -> None:
    found["a"] = found.pop("a")


def _emptied(found: dict[Any, Any]) -> None:
    found.clear()


CHANGES: list[Callable[[dict[Any, Any]], Any]] = [_swapped, _renamed, _equal, _reordered, _emptied]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", [dict, OrderedDict])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "with keys of other kinds"])
def test_any_change_of_a_dict_is_undone(change: Callable[[dict[Any, Any]], Any], kind: type, others: bool) -> None:
    found, beside = kind(a=[1], b=[2]), {1: "one", "x": "same"}
    before = _as_it_is(found), _as_it_is(beside)
    containers = Containers()
    assert containers.add_dicts([found], named=True) == [[1], [2]]
    if others:
        containers.add_dicts([beside], named=False)
    containers.refill(_fail)
    assert (_as_it_is(found), _as_it_is(beside)) == before
    change(found)
    assert _as_it_is(found) != before[0]
    containers.refill(_fail)
    assert (_as_it_is(found), _as_it_is(beside)) == before


def test_a_key_that_is_equal_to_another_is_not_that_key() -> None:
    found: dict[Any, Any] = {"x": 0, 1: "one"}
    before = _as_it_is(found)
    containers = Containers()
    containers.add_dicts([{"name": 1}], named=True)
    containers.add_dicts([found], named=False)
    found[True] = found.pop(1)
    containers.refill(_fail)
    assert _as_it_is(found) == before


def test_what_was_empty_is_empty_again() -> None:
    empty: list[Any] = [{}, OrderedDict(), set()]
    containers = Containers()
    containers.add_empty(empty)
    empty[0]["hook"] = empty[1]["hook"] = print
    empty[2].add("name")
    containers.refill(_fail)
    assert not any(empty)


def _entries(*dicts: dict[Any, Any]) -> list[list[tuple[Any, int]]]:
    return [[(key, id(value)) for key, value in found.items()] for found in dicts]


def test_an_entry_that_went_to_the_dict_beside_comes_back() -> None:
    """All keys and all values in a row are what they were."""
    for backwards in (False, True):
        one, other = {"a": [1], "b": [2]}, {"c": [3], "d": [4]}
        before = _entries(one, other)
        containers = Containers()
        containers.add_dicts([one, other], named=True)
        if backwards:
            one["c"] = other.pop("c")
        else:
            last, rest = one.pop("b"), dict(other)
            other.clear()
            other.update(b=last, **rest)
        containers.refill(_fail)
        assert _entries(one, other) == before


@pytest.mark.parametrize("kind", [dict, OrderedDict])
@pytest.mark.parametrize("key", ["aa", "z"])  # before and after the key that it replaces
def test_a_key_is_renamed_and_an_entry_is_added(kind: type, key: str) -> None:
    for change in (lambda found: found.update({key: found.pop("b")}), lambda found: found.update({key: [3]})):
        found = kind(a=[1], b=[2])
        before = _entries(found)
        containers = Containers()
        containers.add_dicts([found], named=True)
        change(found)
        containers.refill(_fail)
        assert _entries(found) == before


def test_a_value_that_equals_the_remembered_one_is_not_that_value() -> None:
    class Shared:
        held: Any = None

    value = Shared.held = [1]
    found = {"held": value}
    containers = Containers()
    containers.add_class(Shared, {"held": value})
    containers.add_entries(found, {"held": value})
    Shared.held, found["held"] = [1], [1]
    containers.refill(_fail)
    assert Shared.held is value
    assert found["held"] is value


def test_what_has_not_changed_is_left_alone() -> None:
    """An iterator over it goes on, which it does not after a change."""
    grown, fixed, ordered = deque([1, 2]), deque([1, 2]), OrderedDict(a=1, b=2)
    containers = Containers()
    containers.add_list(grown, may_grow=True)
    containers.add_list(fixed, may_grow=False)
    containers.add_dicts([ordered], named=True)
    going: list[Any] = [iter(grown), iter(fixed), iter(ordered)]
    containers.refill(_fail)
    assert [next(one) for one in going] == [1, 1, "a"]
    grown.append(3)
    going = [iter(grown)]
    containers.refill(_fail)
    assert list(going[0]) == [1, 2, 3]
