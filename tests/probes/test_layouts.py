"""Where tensors lie: how far they reach, what of it can be written to, and which of them share elements."""

import pytest
import torch

from normlab.probes.layouts import put_at, shared_memory, writable

PLACES = [((4,), (1,), 0), ((2, 3), (5, 1), 4), ((3, 2), (1, 7), 2), ((1,), (1,), 6)]  # shape, strides, first element


@pytest.mark.parametrize(("shape", "strides", "first"), PLACES)
def test_emptied_memory_is_as_large_as_the_last_element_needs(
    shape: tuple[int, ...], strides: tuple[int, ...], first: int
) -> None:
    data = torch.arange(40.0).as_strided(shape, strides, first)
    ends = [
        first + sum(i * s for i, s in zip(index, strides, strict=True)) + 1 for index in torch.ones(shape).nonzero()
    ]
    data.untyped_storage().resize_(0)
    tensor = torch.zeros(shape)
    put_at(tensor, data)
    assert data.untyped_storage().nbytes() == 4 * int(max(ends))
    assert (tensor.stride(), tensor.storage_offset()) == (strides, first)


def test_memory_that_is_large_enough_keeps_its_size_and_content() -> None:
    data = torch.arange(40.0).as_strided((2, 3), (5, 1), 4)
    tensor = torch.zeros(2, 3)
    put_at(tensor, data)
    assert data.untyped_storage().nbytes() == 160
    assert tensor.tolist() == [[4.0, 5.0, 6.0], [9.0, 10.0, 11.0]]


@pytest.mark.parametrize(
    ("shape", "strides", "first", "reached"),
    [((5,), (0,), 3, [3]), ((3, 2), (1, 1), 2, [2, 3, 4, 5]), ((2, 3), (2, 1), 4, [4, 5, 6, 7, 8])],
)
def test_where_elements_overlap_all_bytes_that_they_reach_are_writable(
    shape: tuple[int, ...], strides: tuple[int, ...], first: int, reached: list[int]
) -> None:
    base = torch.arange(1.0, 11.0)
    writable(base.as_strided(shape, strides, first)).zero_()
    assert [index for index, value in enumerate(base.tolist()) if not value] == reached


def test_a_tensor_without_overlaps_is_written_to_itself() -> None:
    columns = torch.zeros(3, 4)[:, :2]
    assert writable(columns) is columns


def test_tensors_with_elements_of_different_sizes_that_meet_share_memory() -> None:
    base = torch.zeros(6)
    assert shared_memory([base[:4], base.view(torch.int16)[4:]]) == (0, 1)
    assert shared_memory([base[:2], base.view(torch.int16)[4:]]) is None
    assert shared_memory([base.view(3, 2)[:, 0], base.view(3, 2)[:, 1]]) is None  # columns: their spans meet alone
