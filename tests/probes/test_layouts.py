"""Memory that was given up has the size again that the tensor in it reaches."""

import pytest
import torch

from normlab.probes.layouts import put_at

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
