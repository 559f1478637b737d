"""The bytes of tensors, arrays and random streams: copied once, copied back as often as needed.

Memory is remembered where it lies, through an alias of each tensor (its storage and geometry at the time), not through
the tensor: several tensors may share memory, in any way, and a tensor may be given other memory (`t.data = …`,
`t.resize_`). All aliases hold the same bytes where they overlap, so writing every one of them is consistent; who wants
other values somewhere (a walk over the weights) writes them afterwards.
"""

import random
from collections.abc import Callable, Iterable
from functools import partial
from itertools import compress
from operator import attrgetter, is_, not_
from typing import Any

import numpy as np
import torch
from torch import Tensor

from normlab.probes.layouts import Places, dense_and_others, is_writable, put_at, writable

Failed = Callable[[Any, BaseException], None]  # told of what could not be put back, and why
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
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
        compare: write only what has changed, which is slower and right for memory that may be read-only. Memory that
            torch did not allocate (an array's, a mapped file's) is always treated so.
    """

    def __init__(self, tensors: Iterable[Tensor], compare: bool = False) -> None:
        dense, others = dense_and_others(list(tensors))
        self._odd = [(t, t.detach().clone()) for t in others if is_writable(t)]
        self._places = Places(dense)
        data = self._places.data
        plain = all(map(Tensor.is_contiguous, data))
        self.aliases = data if plain else [d if d.is_contiguous() else writable(d) for d in data]
        self.values: list[Tensor] = _clones(self.aliases)
        self._write = [not compare and _is_torchs(alias) for alias in self.aliases]  # else only what has changed
        leaves = dense if all(map(_IS_LEAF, dense)) else [t for t in dense if t.is_leaf]
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
        for tensor, data in self._places.moved():
            _attempt(failed, tensor, partial(put_at, tensor, data))
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
            pieces = list(zip(self._places.tensors, self.aliases, self.values, strict=True))
            written = list(compress(pieces, self._write))
            try:
                if written:
                    _, aliases, values = zip(*written, strict=True)
                    torch._foreach_copy_(aliases, values)
            except Exception:  # one cannot be written: the others can
                for tensor, alias, value in written:
                    _attempt(failed, tensor, partial(alias.copy_, value))
            for tensor, alias, value in compress(pieces, map(not_, self._write)):
                _attempt(failed, tensor, partial(_copy_changed, alias, value))
            for tensor, value in self._odd:
                if not _equal(tensor, value):
                    _attempt(failed, tensor, partial(tensor.copy_, value))


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


def _clones(tensors: list[Tensor]) -> list[Tensor]:
    """A copy of each."""
    if tensors and hasattr(torch, "_foreach_clone"):  # torch 2.6, which is supported, has none
        return list(torch._foreach_clone(tensors))
    return list(map(Tensor.clone, tensors))


def _is_torchs(alias: Tensor) -> bool:
    """Whether torch has allocated this memory, so that it can be written to; an array's may be read-only."""
    return bool(alias.untyped_storage().resizable())


def _copy_changed(alias: Tensor, value: Tensor) -> None:
    if alias.device.type != "cpu" or not _same_bytes(alias, value):
        alias.copy_(value)


def _same_bytes(a: Tensor, b: Tensor) -> bool:
    if a.is_conj() or a.is_neg():  # no plain bytes
        return False
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    if a.is_contiguous() and a.data_ptr() % 8 == b.data_ptr() % 8 == a.nbytes % 8 == 0:
        a, b = a.view(-1), b.view(-1)  # eight bytes at a time
        return torch.equal(a.view(torch.int64), b.view(torch.int64)) if a.nbytes else True
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
