"""A walk goes to every object once, the nearest first, and loosely only where nothing strict leads."""

from typing import Any

import pytest

from normlab.probes import walk
from normlab.probes.walk import Walk, by_kind


class Lists(Walk):
    """Follows lists, and dicts loosely; takes note of the rest."""

    def __init__(self, *roots: Any) -> None:
        super().__init__()
        self.visits: list[tuple[type, int, bool]] = []
        self.enqueue(roots, False)
        self.follow()

    def visit(self, kind: type, found: list[Any], loose: bool) -> None:
        self.visits.append((kind, len(found), loose))
        for one in found:
            if kind is list:
                self.enqueue(one, loose)
            elif kind is dict:
                self.enqueue(one.values(), True)


class Thing:
    """Anything."""


def test_each_object_is_visited_once_and_together_with_others_of_its_class() -> None:
    shared = Thing()
    ring: list[Any] = [shared, Thing(), shared, 1, "atom", None]
    ring.append(ring)
    assert Lists([ring, shared, [Thing()]]).visits == [
        (list, 1, False),
        (list, 2, False),
        (Thing, 1, False),
        (Thing, 2, False),
    ]


def test_loose_visits_are_the_last_one_by_one_and_not_of_what_is_strict_too() -> None:
    both = Thing()
    found = Lists({"a": [Thing(), both], "b": Thing()}, [[both]])
    assert found.visits == [
        (dict, 1, False),
        (list, 1, False),
        (list, 1, False),
        (Thing, 1, False),
        (list, 1, True),
        (Thing, 1, True),
        (Thing, 1, True),
    ]


def test_what_is_too_far_is_left_out_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = Thing(), Thing()
    roots = [[far]], near
    assert Lists(*roots).complete
    monkeypatch.setattr(walk, "LIMIT", 3)
    found = Lists(*roots)
    assert not found.complete
    assert id(near) in found.seen
    assert id(far) not in found.seen


def test_equal_objects_are_different_ones() -> None:
    assert Lists([[], []], []).visits == [(list, 2, False), (list, 2, False)]


def test_atoms_are_of_no_class_to_be_followed() -> None:
    thing = Thing()
    assert by_kind([1, True, "x", None, (1,), thing, Thing]) == {tuple: [(1,)], Thing: [thing]}


def test_a_walk_has_to_say_where_it_goes() -> None:
    with pytest.raises(TypeError, match="visit"):
        Walk()  # type: ignore[abstract]


def test_as_many_objects_as_the_limit_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = [Thing(), Thing()], Thing()
    monkeypatch.setattr(walk, "LIMIT", 4)
    found = Lists(*roots)
    assert found.complete
    assert len(found.seen) == 4


def test_atoms_are_not_visited_loosely_either() -> None:
    assert Lists({"a": 1, "b": "text", "c": None, "d": Thing()}).visits == [(dict, 1, False), (Thing, 1, True)]
