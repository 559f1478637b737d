"""Which tensors have an element in common, against the sets of their elements."""

from itertools import combinations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from normlab.probes.layouts import shared_memory, writable

ROWS, COLUMNS = 4, 6
Part = tuple[int, bool, slice, slice]  # which of the tables, turned or not, which rows and columns


def _ranges(size: int) -> st.SearchStrategy[slice]:
    return st.builds(slice, st.integers(0, size - 1), st.integers(1, size), st.integers(1, 3))


PARTS = st.tuples(st.integers(0, 1), st.booleans(), _ranges(ROWS), _ranges(COLUMNS))


def _part(tables: list[Tensor], part: Part) -> Tensor:
    which, turned, rows, columns = part
    found = tables[which][rows, columns]
    return found.t() if turned else found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int8])
@settings(deadline=None, max_examples=150)
@given(st.lists(PARTS, min_size=2, max_size=4))
def test_parts_of_two_tables_share_memory_if_they_have_an_element_in_common(
    dtype: torch.dtype, parts: list[Part]
) -> None:
    names = torch.arange(2 * ROWS * COLUMNS).view(2, ROWS, COLUMNS)
    elements = [set(_part(list(names), part).flatten().tolist()) for part in parts]
    sharing = {pair for pair in combinations(range(len(parts)), 2) if elements[pair[0]] & elements[pair[1]]}
    one, other = torch.zeros(ROWS, COLUMNS, dtype=dtype), torch.zeros(ROWS, COLUMNS, dtype=dtype)
    found = shared_memory([_part([one, other], part) for part in parts])
    assert (tuple(sorted(found)) in sharing) if found else not sharing


def test_rows_that_touch_and_a_tensor_without_elements_share_nothing() -> None:
    table = torch.zeros(3, 4)
    assert shared_memory([table[0], table[1], table[2]]) is None
    assert shared_memory([table, table[1:1]]) is None
    assert shared_memory([table[:, 1:1], table.t(), torch.zeros(2)]) is None
    assert shared_memory([]) is None
    assert shared_memory([table.to_sparse(), table, table.t()]) == (1, 2)


def test_the_last_element_of_columns_is_a_part_of_them() -> None:
    table = torch.zeros(3, 4)
    flat = table.view(-1)
    for last in range(12):
        found = shared_memory([table[:, 1], flat[last : last + 1]])
        assert (found is not None) == (last in (1, 5, 9))


def test_columns_of_another_type_count_as_shared_where_they_meet() -> None:
    table = torch.zeros(4, 4)
    halves = table.view(torch.int16)
    for first, second in ((table[:, 0], halves[:, 5]), (halves[:, 5], table[:, 0])):
        assert shared_memory([first, second]) is not None  # which elements meet is not looked at
    assert shared_memory([table[:1, 0], halves[1:, 5]]) is None


def _places(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    return [sum(i * s for i, s in zip(at, strides, strict=True)) for at in product(*map(range, shape))]


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (1, 3), (2, 2), (3, 2), (2, 1, 2), (2, 2, 2)])
def test_elements_that_meet_within_a_tensor_are_never_overlooked(shape: tuple[int, ...]) -> None:
    base = torch.zeros(64)
    for strides in product(range(6), repeat=len(shape)):
        places, tensor = _places(shape, strides), base.as_strided(shape, strides, 1)
        if len(set(places)) < len(places):
            assert shared_memory([tensor]) == (0, 0)
            assert writable(tensor) is not tensor
        elif len([size for size in shape if size > 1]) < 2:  # a line of several steps: nothing to be in doubt about
            assert shared_memory([tensor]) is None
            assert writable(tensor) is tensor
