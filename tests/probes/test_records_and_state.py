"""The same container in a model and behind a loss function: there it is state and has its members again, here it is a
record of the caller's and keeps what was added."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from normlab.probes.reach import Reach


def _in_model(held: Any) -> Reach:
    model = nn.ReLU()
    model.held = held
    return Reach(model, None, (), ())


def _in_variable(held: Any) -> Reach:
    return Reach(nn.ReLU(), None, [lambda: held], ())


def _in_partial(held: Any) -> Reach:
    return Reach(nn.ReLU(), None, [partial(print, held)], ())


def _in_keyword(held: Any) -> Reach:
    return Reach(nn.ReLU(), None, [partial(print, a=held)], ())


STATE = (_in_model,)
RECORDS = (_in_variable, _in_partial, _in_keyword)


@pytest.mark.parametrize("place", [*STATE, *RECORDS], ids=lambda place: place.__name__)
def test_what_was_added_to_lists_sets_and_dicts(place: Callable[[Any], Reach]) -> None:
    tensor = torch.ones(1)
    listed, together, named = [tensor], {tensor}, {"a": tensor}
    reach = place((listed, together, named))
    listed.append(torch.zeros(1))
    together.add(torch.zeros(1))
    named["b"] = torch.zeros(1)
    reach.containers.refill(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert [len(listed), len(together), len(named)] == ([1, 1, 1] if place in STATE else [2, 2, 2])


def test_numbers_of_an_array_are_not_visited_one_by_one() -> None:
    for numbers in (np.zeros(1000), np.zeros(1000, dtype=complex), np.zeros(1000, dtype=bool)):
        assert len(Reach(nn.ReLU(), numbers, (), ()).seen) < 100
    held = np.empty(2, dtype=object)
    held[0], held[1] = [1], [2]
    reach = Reach(nn.ReLU(), held, (), ())
    assert id(held[0]) in reach.seen
    assert id(held[1]) in reach.seen
