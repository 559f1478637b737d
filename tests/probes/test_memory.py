"""The bytes of tensors: which are the same, in every type and layout; what is the same is not written."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.probes import landscape, memory
from normlab.probes.memory import Memory
from tests.reference.functions import mapped

TYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
)
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda t: t,
    "transposed": lambda t: t.t(),
    "every second": lambda t: t[:, ::2],
    "a part that is no multiple of eight bytes": lambda t: t[:3, 1:2].contiguous(),
    "one element into a word of eight bytes": lambda t: t.flatten()[1:17].view(4, 4),
    "no elements": lambda t: t[:0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_bytes_are_compared_in_every_type_and_layout(dtype: torch.dtype, layout: str) -> None:
    def make() -> Tensor:
        return LAYOUTS[layout](torch.ones(4, 6).to(dtype))

    assert memory._same_bytes(make(), make())
    other = make()
    if other.numel():
        other[-1, -1] = 0
        assert not memory._same_bytes(other, make())


@pytest.mark.parametrize("dtype", [t for t in TYPES if t.is_floating_point], ids=str)
def test_bytes_are_compared_and_not_numbers(dtype: torch.dtype) -> None:
    nan, zero = torch.full((2, 3), torch.nan, dtype=dtype), torch.zeros(2, 3, dtype=dtype)
    assert memory._same_bytes(nan, nan.clone())
    assert memory._same_bytes(nan.t(), nan.clone().t())
    assert not memory._same_bytes(zero, -zero)
    assert not memory._same_bytes(zero.t(), -zero.t())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_only_what_has_changed_is_written(dtype: torch.dtype, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same, changed = (LAYOUTS[layout](torch.ones(4, 6).to(dtype)) for _ in range(2))
    state = Memory([same, changed], compare=True)
    copy, written = Tensor.copy_, []
    monkeypatch.setattr(Tensor, "copy_", lambda target, *rest: written.append(target.data_ptr()) or copy(target, *rest))
    if changed.numel():
        changed.zero_()
    state.restore(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert written == ([changed.data_ptr()] if changed.numel() else [])
    assert (changed == 1).all()


def _conjugate(base: Tensor) -> Any:
    return torch.view_as_complex(base).conj()


@pytest.mark.parametrize("view", [_conjugate, torch._neg_view], ids=["conjugate", "negative"])
@pytest.mark.parametrize("compare", [False, True])
def test_views_that_compute_are_put_back(view: Any, compare: bool) -> None:
    base = torch.arange(8.0).view(4, 2)
    memory = Memory([view(base)], compare)
    base.add_(1)
    memory.restore(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert base.tolist() == torch.arange(8.0).view(4, 2).tolist()


@pytest.mark.parametrize("count", range(1, 20))
def test_bytes_of_any_number_are_compared(count: int) -> None:
    for dtype in (torch.int8, torch.float32):
        same, other = torch.ones(count, dtype=dtype), torch.ones(count, dtype=dtype)
        assert memory._same_bytes(same, same.clone())
        other[-1] = 0
        assert not memory._same_bytes(same, other)


def test_what_cannot_be_written_is_left_alone_and_what_has_a_graph_keeps_it() -> None:
    weight = torch.ones(2, requires_grad=True)
    result = weight * 2
    with torch.inference_mode():
        fixed = torch.ones(2)
    tensors = [result, weight, fixed, torch.ones(2, device="meta")]
    Memory(tensors).restore(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert result.grad_fn is not None
    assert weight.is_leaf
    assert weight.requires_grad


def test_tensors_that_are_no_plain_memory_have_their_values_again() -> None:
    sparse, table = torch.eye(2).to_sparse(), torch.eye(2)
    state = Memory([table, sparse])
    sparse.mul_(3)
    state.restore(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert sparse.to_dense().tolist() == [[1.0, 0.0], [0.0, 1.0]]


class OverTable(nn.Module):
    """A head over the rows of a table that lies in a file and is never written to."""

    def __init__(self, table: Tensor, how: str) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        if how == "buffer":
            self.register_buffer("table", table)
        elif how == "frozen":
            self.table = nn.Parameter(table, requires_grad=False)
        elif how == "given to another":
            self.table = nn.Parameter(torch.zeros(9, 4), requires_grad=False)
            self.table.data = table
        else:
            self.table = nn.Embedding.from_pretrained(table).weight

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.table[rows])


@pytest.mark.parametrize("how", ["buffer", "frozen", "given to another", "embedding"])
def test_a_table_in_read_only_memory_is_not_written_to(how: str, tmp_path: Any) -> None:
    table = mapped(torch.arange(36).reshape(9, 4) / 36, tmp_path)
    model, rows = OverTable(table, how), torch.arange(6)
    walk = landscape(model, lambda m, b: m(b).square().mean(), rows, [0.1, 0.1])
    assert walk.losses[0] == walk.losses[1]
    assert model.table.data_ptr() == table.data_ptr()


def test_memory_that_torch_did_not_allocate_is_put_back_where_it_has_changed() -> None:
    arrays = [np.ones((3, 4)), np.ones((4, 3)).T, np.ones((3, 8))[:, ::2], np.ones((3, 4), dtype=np.int32)]
    tensors = [*map(torch.from_numpy, arrays), torch.ones(3, 4)]
    remembered = Memory(tensors)
    for tensor in tensors:
        tensor[0, 1:] = 7
    remembered.restore(lambda what, error: pytest.fail(f"{what}: {error}"))
    assert all(bool((tensor == 1).all()) for tensor in tensors)
