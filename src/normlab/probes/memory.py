"""The bytes of tensors, arrays and random streams: copied once, copied back as often as needed.

Memory is remembered where it lies, through an alias of each tensor (its storage and geometry at the time), not through
the tensor: several tensors may share memory, in any way, and a tensor may be given other memory (`t.data = …`,
`t.resize_`). All aliases hold the same bytes where they overlap, so writing every one of them is consistent; who wants
other values somewhere (a walk over the weights) writes them afterwards.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter, is_
from typing import Any

import numpy as np
import torch
from torch import Tensor

Failed = Callable[[Any, BaseException], None]  # told of what could not be put back, and why
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_SHAPE, _DTYPE = attrgetter("shape"), attrgetter("dtype")
_IS_LEAF = attrgetter("is_leaf")
_GRADIENT_FLAG = attrgetter("requires_grad")
_GRADIENT = attrgetter("grad")


class RandomState:
    """The state of every global random stream: torch's CPU and CUDA generators, numpy's, Python's."""

    def __init__(self) -> None:
        self.torch = torch.get_rng_state()
        # asking an uninitialized CUDA for its state would initialize it, which is a trace of its own
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        self.numpy = np.random.get_state()
        self.python = random.getstate()

    def restore(self) -> None:
        """Put every stream back to where it was."""
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        np.random.set_state(self.numpy)
        random.setstate(self.python)

    def generator(self) -> torch.Generator:
        """A separate generator that continues the remembered CPU stream without consuming it."""
        generator = torch.Generator(device="cpu")
        generator.set_state(self.torch)
        return generator


class Streams:
    """Random streams that are objects of their own."""

    def __init__(self, streams: Iterable[Any]) -> None:
        self._states = [(stream, _stream_state(stream)) for stream in streams]

    def restore(self, failed: Failed) -> None:
        """Put every stream back to where it was."""
        for stream, state in self._states:
            _attempt(failed, f"a {type(stream).__name__}", partial(_set_stream_state, stream, state))


class Memory:
    """The bytes of tensors, their geometry, `requires_grad` and `.grad` (which tensor it is).

    Attributes:
        aliases: one tensor each for the memory, without a graph; writing to it goes past the version counters, so
            that a graph which the caller still holds stays valid.
        values: copies of them.

    Args:
        tensors: the tensors, each once.
        compare: write only what has changed, which is slower and right for memory that may be read-only.
    """

    def __init__(self, tensors: Iterable[Tensor], compare: bool = False) -> None:
        self._compare = compare
        dense: list[Tensor] = []
        self._odd: list[tuple[Tensor, Tensor]] = []
        for tensor in tensors:
            if _is_dense(tensor):
                dense.append(tensor)
            elif not tensor.is_meta and not tensor.is_inference() and not _wraps_others(tensor):
                self._odd.append((tensor, tensor.detach().clone()))
        self._tensors: list[Tensor] = dense
        self._data = [t.data for t in dense]
        self.aliases = [d if d.is_contiguous() else _writable(d) for d in self._data]
        self.values = [alias.clone() for alias in self.aliases]
        self._geometry = _geometry(self._data)
        leaves = [t for t in dense if t.is_leaf]
        self._leaves, self._flags = leaves, list(map(_GRADIENT_FLAG, leaves))
        self._gradients = list(map(_GRADIENT, leaves))

    def restore(self, failed: Failed) -> None:
        """Bytes, geometry, flags and gradients as remembered."""
        self.restore_geometry(failed)
        self.restore_bytes(failed)

    def restore_geometry(self, failed: Failed) -> None:
        """Which memory each tensor has, in which shape; `requires_grad` and `.grad`."""
        if not all(map(_IS_LEAF, self._leaves)):  # something differentiable was written into a buffer
            for tensor in self._leaves:
                if not tensor.is_leaf:
                    _attempt(failed, tensor, tensor.detach_)
        if _geometry(self._tensors) != self._geometry or list(map(Tensor.data_ptr, self._data)) != self._geometry[0]:
            for tensor, data, place in zip(self._tensors, self._data, self._geometry[0], strict=True):
                placed = tensor.data_ptr() == data.data_ptr() == place
                if not placed or _geometry([tensor])[1:] != _geometry([data])[1:]:
                    _attempt(failed, tensor, partial(_put, tensor, data))
        if list(map(_GRADIENT_FLAG, self._leaves)) != self._flags:
            for tensor, flag in zip(self._leaves, self._flags, strict=True):
                if tensor.requires_grad != flag:
                    _attempt(failed, tensor, partial(tensor.requires_grad_, flag))
        if not all(map(is_, map(_GRADIENT, self._leaves), self._gradients)):
            for tensor, grad in zip(self._leaves, self._gradients, strict=True):
                if tensor.grad is not grad:
                    _attempt(failed, tensor, partial(setattr, tensor, "grad", grad))

    def restore_bytes(self, failed: Failed) -> None:
        """The remembered bytes; written only where others are if the memory may be read-only (a mapped file)."""
        with torch.no_grad():
            try:
                if self._compare:
                    self._restore_changed()
                elif self.aliases:
                    torch._foreach_copy_(self.aliases, self.values)
            except Exception:  # one cannot be written: the others can
                for tensor, alias, value in zip(self._tensors, self.aliases, self.values, strict=True):
                    _attempt(failed, tensor, partial(alias.copy_, value))
            for tensor, value in self._odd:
                if not _equal(tensor, value):
                    _attempt(failed, tensor, partial(tensor.copy_, value))

    def _restore_changed(self) -> None:
        for alias, value in zip(self.aliases, self.values, strict=True):
            if alias.device.type != "cpu" or not _same_bytes(alias, value):
                alias.copy_(value)


class Arrays:
    """The content of numpy arrays."""

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        self._arrays = [(array, array.copy()) for array in arrays]

    def restore(self, failed: Failed) -> None:
        """The remembered content, written only where another is."""
        for array, content in self._arrays:
            try:
                if array.tobytes() != content.tobytes():  # of objects: their identities
                    array[...] = content
            except Exception as error:
                failed(f"a numpy array of shape {array.shape}", error)


def shared_memory(tensors: Sequence[Tensor]) -> tuple[int, int] | None:
    """Indices of two tensors (or of one, twice) that have an element in common, or None."""
    spans = []
    for index, tensor in enumerate(tensors):
        if not _is_dense(tensor) or not tensor.numel():
            continue
        if _overlaps_itself(tensor):
            return index, index
        start = tensor.data_ptr()
        spans.append((str(tensor.device), start, start + (_reach(tensor) + 1) * tensor.element_size(), index))
    active: list[tuple[str, int, int, int]] = []
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


def _geometry(tensors: list[Tensor]) -> tuple[list[Any], ...]:
    """Where each tensor lies, and in which shape, strides and type."""
    return tuple(list(map(get, tensors)) for get in (Tensor.data_ptr, _SHAPE, Tensor.stride, _DTYPE))


def _is_dense(tensor: Tensor) -> bool:
    """Whether the tensor is memory with a geometry: not sparse, not a wrapper around others, not without values."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        return False
    if tensor.is_meta or tensor.is_inference() or _wraps_others(tensor):
        return False
    try:
        return bool(tensor.data_ptr()) or not tensor.numel()
    except RuntimeError:  # a wrapper subclass
        return False


def _wraps_others(tensor: Tensor) -> bool:
    """Whether a class of its own computes for this tensor: what it holds are other tensors, which are reached too."""
    return type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__


def _writable(data: Tensor) -> Tensor:
    """The memory of a tensor as something that can be written to: all bytes of its span if elements overlap."""
    if not _overlaps_itself(data):
        return data
    size = (_reach(data) + 1) * data.element_size() if data.numel() else 0
    span = torch.empty(0, dtype=torch.uint8, device=data.device)
    return span.set_(data.untyped_storage(), data.storage_offset() * data.element_size(), (size,), (1,))


def _put(tensor: Tensor, data: Tensor) -> None:
    """Give a tensor its memory and geometry back, and the memory its size."""
    storage = data.untyped_storage()
    needed = int(data.storage_offset() + _reach(data) + 1) * data.element_size() if data.numel() else 0
    if storage.nbytes() < needed:
        storage.resize_(needed)
    tensor.data = data


def _same_bytes(a: Tensor, b: Tensor) -> bool:
    if a.is_conj() or a.is_neg():  # no plain bytes
        return False
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    kind = _INTEGERS[a.element_size()]
    return torch.equal(a.view(kind), b.view(kind))


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of any layout are equal; in doubt they are not."""
    try:
        if a.layout != torch.strided:
            a, b = a.detach().to_dense(), b.to_dense()
        return torch.equal(a, b)
    except (RuntimeError, NotImplementedError):  # for want of a comparison: it is written
        return False


def _attempt(failed: Failed, what: Any, action: Callable[[], object]) -> None:
    try:
        action()
    except Exception as error:
        failed(what, error)


def _stream_state(stream: Any) -> Any:
    if isinstance(stream, random.Random):
        return stream.getstate()
    return stream.bit_generator.state if isinstance(stream, np.random.Generator) else stream.get_state()


def _set_stream_state(stream: Any, state: Any) -> None:
    if isinstance(stream, random.Random):
        stream.setstate(state)
    elif isinstance(stream, np.random.Generator):
        stream.bit_generator.state = state
    else:
        stream.set_state(state)
