"""The bytes of tensors: which are the same, in every type and layout; what is the same is not written."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from normlab.probes import memory
from normlab.probes.memory import Memory

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
