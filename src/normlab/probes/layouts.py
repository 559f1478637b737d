"""Where the elements of a tensor lie in memory, and which tensors are such memory at all."""

from collections.abc import Sequence
from operator import attrgetter

import torch
from torch import Tensor

_PLAIN = frozenset((Tensor, torch.nn.Parameter, torch.nn.Buffer))
_KIND = attrgetter("layout", "is_quantized", "is_nested", "is_meta")
_DENSE = (torch.strided, False, False, False)
_ODD = (attrgetter("is_quantized"), attrgetter("is_nested"), Tensor.is_inference)
_DTYPE = attrgetter("dtype")
_REFUSED = (RuntimeError, TypeError)  # of another layout now, or of a class that has no answer


class Places:
    """Where tensors lie: in which memory, shape, strides and type.

    Attributes:
        tensors: dense ones.
        data: one tensor each that shares its memory and geometry, and keeps both.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.data = [tensor.data for tensor in tensors]
        self._pointers = list(map(Tensor.data_ptr, self.data))
        self._dtypes = list(map(_DTYPE, tensors))

    def moved(self) -> list[tuple[Tensor, Tensor]]:
        """The tensors that lie elsewhere now, or whose memory does, each with its `data`."""
        try:  # nearly always none has
            there = all(map(Tensor.is_set_to, self.tensors, self.data))
            typed = there and list(map(_DTYPE, self.tensors)) == self._dtypes
            if typed and list(map(Tensor.data_ptr, self.data)) == self._pointers:
                return []
        except _REFUSED:
            pass
        places = zip(self.tensors, self.data, self._pointers, strict=True)
        return [(tensor, data) for tensor, data, pointer in places if not _lies_at(tensor, data, pointer)]


def _lies_at(tensor: Tensor, data: Tensor, pointer: int) -> bool:
    try:
        return data.data_ptr() == pointer and tensor.dtype == data.dtype and tensor.is_set_to(data)
    except _REFUSED:
        return False


def dense_and_others(tensors: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors that are memory with a geometry, and the others: sparse, wrappers around others, without values."""
    try:  # nearly always all of them are plain: of another layout or a device without values, none has a pointer
        plain = _PLAIN.issuperset(map(type, tensors)) and all(map(Tensor.data_ptr, tensors))
        if plain and not any(any(map(is_odd, tensors)) for is_odd in _ODD):
            return tensors, []
    except RuntimeError:  # sparse, or a wrapper without memory
        pass
    dense: list[Tensor] = []
    others: list[Tensor] = []
    for tensor in tensors:
        (dense if _is_dense(tensor) else others).append(tensor)
    return dense, others


def _is_dense(tensor: Tensor) -> bool:
    """Whether the tensor is memory with a geometry: not sparse, not a wrapper around others, not without values."""
    if _KIND(tensor) != _DENSE or not is_writable(tensor):
        return False
    try:
        return bool(tensor.data_ptr()) or not tensor.numel()
    except RuntimeError:  # a wrapper subclass
        return False


def is_writable(tensor: Tensor) -> bool:
    """Whether the tensor has values of its own that can be written to."""
    return not (tensor.is_meta or tensor.is_inference() or _wraps_others(tensor))


def _wraps_others(tensor: Tensor) -> bool:
    """Whether a class of its own computes for this tensor: what it holds are other tensors, which are reached too."""
    return type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__


def writable(data: Tensor) -> Tensor:
    """The memory of a tensor as something that can be written to: all bytes of its span if elements overlap."""
    if not _overlaps_itself(data):
        return data
    size = (_reach(data) + 1) * data.element_size() if data.numel() else 0
    span = torch.empty(0, dtype=torch.uint8, device=data.device)
    return span.set_(data.untyped_storage(), data.storage_offset() * data.element_size(), (size,), (1,))


def put_at(tensor: Tensor, data: Tensor) -> None:
    """Give a tensor its memory and geometry back, and the memory its size."""
    storage = data.untyped_storage()
    needed = int(data.storage_offset() + _reach(data) + 1) * data.element_size() if data.numel() else 0
    if storage.nbytes() < needed:
        storage.resize_(needed)
    tensor.data = data


def shared_memory(tensors: Sequence[Tensor]) -> tuple[int, int] | None:
    """Indices of two tensors (or of one, twice) that have an element in common, or None."""
    dense, _ = dense_and_others(list(tensors))
    indices = {id(tensor): index for index, tensor in enumerate(tensors)}
    spans = []
    for tensor in dense:
        size, start = tensor.nbytes, tensor.data_ptr()
        if not tensor.is_contiguous():
            if _overlaps_itself(tensor):
                return indices[id(tensor)], indices[id(tensor)]
            size = (_reach(tensor) + 1) * tensor.element_size() if size else 0
        if size:
            spans.append((tensor.get_device(), start, start + size, indices[id(tensor)]))
    active: list[tuple[int, int, int, int]] = []
    for span in sorted(spans):
        active = [earlier for earlier in active if earlier[0] == span[0] and earlier[2] > span[1]]
        for earlier in active:
            if _overlap(tensors[earlier[3]], tensors[span[3]]):
                return earlier[3], span[3]
        active.append(span)
    return None


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one type whose spans overlap have an element in common (columns of one matrix do not)."""
    size = a.element_size()
    if size != b.element_size() or (a.data_ptr() - b.data_ptr()) % size:
        return True
    low = min(a.data_ptr(), b.data_ptr())
    starts = [(t.data_ptr() - low) // size for t in (a, b)]
    count = max(start + _reach(t) + 1 for start, t in zip(starts, (a, b), strict=True))
    used = torch.zeros(count, dtype=torch.uint8, device="cpu")
    for start, tensor in zip(starts, (a, b), strict=True):
        used.as_strided(tensor.shape, tensor.stride(), start).add_(1)
    return bool((used > 1).any())


def _overlaps_itself(tensor: Tensor) -> bool:
    """Whether elements may share memory, as those of an expanded tensor do; no, if every stride steps over all that the
    shorter ones reach."""
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += (size - 1) * stride
    return False


def _reach(tensor: Tensor) -> int:
    """How many elements lie between the first and the last one in memory."""
    return sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
