"""A walk over Python objects, each once and nearest first: the order of it, and not what an object holds.

There are two kinds of visits: strict ones, which go class by class (a loop over many objects of a class costs less than
many calls), and loose ones, one object at a time, after all that is strict: what is reached both ways is strict.
"""

from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeAlias

from normlab.probes.kinds import ATOMS

LIMIT = 100_000  # objects; what is nearest to the beginning comes first

Kinds: TypeAlias = defaultdict[type, list[Any]]  # objects by their class


class Walk(ABC):
    """What was seen and what is next; a derived class says in `visit` where it goes from there.

    Attributes:
        seen: id of an object → the object, which it keeps alive, so that the id stays that object's.
        complete: False where there was more than `LIMIT` objects.
    """

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}
        self.complete = True
        self._strict: Kinds = defaultdict(list)
        self._loose: deque[Any] = deque()

    @abstractmethod
    def visit(self, kind: type, found: list[Any], loose: bool) -> None:
        """Objects of one class, seen for the first time: take note of them, and enqueue what they hold."""

    def enqueue(self, values: Iterable[Any], loose: bool) -> None:
        """To be visited, but for atoms."""
        if loose:
            self._loose.extend([v for v in values if type(v) not in ATOMS])
        else:
            self.enqueue_kinds(by_kind(values))

    def enqueue_kinds(self, kinds: Kinds) -> None:
        """To be visited strictly."""
        for kind, members in kinds.items():
            self._strict[kind].extend(members)

    def follow(self) -> None:
        """Visit what is enqueued, and what that enqueues, until nothing is left."""
        self.follow_strict()
        while self._loose:
            value = self._loose.popleft()
            self._visit_new(type(value), [value], True)
            self.follow_strict()

    def follow_strict(self) -> None:
        """Visit what is enqueued strictly, and what that enqueues so."""
        while self._strict:
            found, self._strict = self._strict, defaultdict(list)
            for kind, members in found.items():
                self._visit_new(kind, members, False)

    def _visit_new(self, kind: type, found: list[Any], loose: bool) -> None:
        """Visit what was not seen before."""
        new = dict(zip(map(id, found), found, strict=True))
        if not self.seen.keys().isdisjoint(new):
            new = {key: value for key, value in new.items() if key not in self.seen}
        room = LIMIT - len(self.seen)
        if len(new) > room:
            self.complete = False
            new = dict(islice(new.items(), room))
        if new:
            self.seen.update(new)
            self.visit(kind, list(new.values()), loose)


def by_kind(values: Iterable[Any]) -> Kinds:
    """What is to be followed, by class: everything but atoms."""
    kinds: Kinds = defaultdict(list)
    for value in values:
        kinds[type(value)].append(value)
    for atom in ATOMS.intersection(kinds):
        del kinds[atom]
    return kinds
