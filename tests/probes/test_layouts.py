"""Where tensors lie: whether they still lie there, how far they reach, what of it can be written to, and which of them
share elements; and which tensors are no such memory."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from normlab.probes.layouts import Places, dense_and_others, put_at, shared_memory, writable

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


@pytest.mark.parametrize(
    ("shape", "strides", "shares"),
    [
        ((3,), (0,), True),  # expanded
        ((2, 3), (1, 0), True),
        ((3, 2), (1, 1), True),  # neighbors
        ((2, 1), (2, 0), False),  # one element has no step
        ((1, 2, 2), (0, 4, 1), False),
        ((2, 3), (7, 2), False),
        ((3, 2), (2, 7), False),
    ],
)
def test_a_tensor_whose_own_elements_meet_shares_memory_with_itself(
    shape: tuple[int, ...], strides: tuple[int, ...], shares: bool
) -> None:
    base = torch.zeros(40)
    places = [sum(i * s for i, s in zip(index, strides, strict=True)) for index in torch.ones(shape).nonzero().tolist()]
    assert (len(set(places)) < len(places)) == shares
    tensor = base.as_strided(shape, strides, 3)
    assert shared_memory([torch.zeros(2), tensor]) == ((1, 1) if shares else None)
    assert (writable(tensor) is tensor) != shares


def _others() -> dict[str, Tensor]:
    """Tensors that are no memory with a geometry, each with none of the others' reasons."""
    dense = torch.arange(16.0).view(4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sparse rows, nested and quantized tensors call themselves beta
        found = {
            "sparse": dense.to_sparse(),
            "a sparse parameter": torch.nn.Parameter(dense.to_sparse()),
            "sparse rows": dense.to_sparse_csr(),
            "sparse blocks": dense.to_sparse_bsr((2, 2)),
            "nested": torch.nested.nested_tensor([dense, dense[:2]]),
            "nested, ragged": torch.nested.nested_tensor([dense, dense[:2]], layout=torch.jagged),
            "quantized": torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8),
            "without values": dense.to("meta"),
        }
    with torch.inference_mode():
        return {**found, "of inference mode": torch.ones(2)}


@pytest.mark.parametrize("kind", list(_others()))
def test_what_is_no_memory_with_a_geometry_is_told_apart(kind: str) -> None:
    other, plain = _others()[kind], [torch.ones(2), torch.nn.Parameter(torch.ones(1)), torch.zeros(0)]
    dense, others = dense_and_others([*plain, other])
    assert [id(t) for t in dense] == [id(t) for t in plain]
    assert [id(t) for t in others] == [id(other)]
    assert dense_and_others(plain[:2]) == (plain[:2], [])


def _resized(tensor: Tensor) -> None:
    tensor.untyped_storage().resize_(4096)  # to other memory


MOVES: dict[str, Callable[[Tensor], object]] = {
    "other memory": lambda t: setattr(t, "data", t.detach().clone()),
    "another part of it": lambda t: setattr(t, "data", t.detach()[:2]),
    "transposed": lambda t: t.t_(),
    "with a dimension more": lambda t: t.unsqueeze_(0),
    "of another type": lambda t: setattr(t, "data", t.detach().view(torch.int32)),
    "of a smaller type": lambda t: setattr(t, "data", t.detach().half()),
    "smaller": lambda t: t.resize_(2, 2),
    "the memory itself elsewhere": _resized,
}


@pytest.mark.parametrize("move", list(MOVES))
def test_a_tensor_that_lies_elsewhere_is_seen_and_put_back(move: str) -> None:
    stays, moves = torch.ones(3, 3), torch.arange(16.0).view(4, 4)
    was = moves.shape, moves.stride(), moves.dtype
    places = Places([stays, moves])
    assert places.moved() == []
    MOVES[move](moves)
    [(tensor, data)] = places.moved()
    assert tensor is moves
    put_at(tensor, data)
    assert (moves.shape, moves.stride(), moves.dtype) == was
    assert moves.is_set_to(data)


def test_an_empty_tensor_needs_no_memory() -> None:
    data = torch.empty(0)
    put_at(torch.zeros(0), data)
    assert data.untyped_storage().nbytes() == 0


class Reserved(Tensor):
    """A class of tensors that answers what it knows, and not whether it lies where another one does."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.is_set_to:
            return NotImplemented
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_class_that_does_not_tell_where_it_lies_is_put_there() -> None:
    tensor = torch.arange(3.0).as_subclass(Reserved)
    places = Places([torch.ones(2), tensor])
    assert [moved[0] is tensor for moved in places.moved()] == [True]
    put_at(*places.moved()[0])
    assert tensor.tolist() == [0.0, 1.0, 2.0]
