"""Leave no trace: what a forward pass or a walk over the weights can change, remembered and put back bit for bit.

Remembered are weights and buffers (values), modes, `requires_grad`, `.grad` (which tensor it is), every module's own
attributes and hooks, tensors of the batch, and the random streams of torch (CPU and CUDA), numpy and Python.
Values are **copied back**; adding a step and subtracting it again would leave rounding errors in the weights.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_CONTAINERS = (dict, list, set)


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
        generator = torch.Generator()
        generator.set_state(self.torch)
        return generator


class _Attributes:
    """The attributes of one module: which objects they are, and what is in its containers (one level deep)."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.own = dict(module.__dict__)
        self.own.pop("training", None)  # the mode has its own rule
        containers = [(value, _members(value)) for value in self.own.values() if isinstance(value, _CONTAINERS)]
        self.containers = [(value, members) for value, members in containers if members]
        self.empty = [value for value, members in containers if not members]  # most of torch's own
        self.seen: list[int] = []
        self.generators = [
            (value, value.get_state()) for value in self.own.values() if isinstance(value, torch.Generator)
        ]
        self.streams = [(value, _stream_state(value)) for value in self.own.values() if _is_stream(value)]

    def restore(self) -> None:
        now = self.module.__dict__
        if list(map(id, now.values())) != self.seen:
            self._restore_objects(now)
            self.seen = list(map(id, now.values()))
        if any(self.empty):
            for container in self.empty:
                container.clear()
        for container, members in self.containers:
            _refill(container, members)
        for generator, state in self.generators:
            generator.set_state(state)
        for stream, state in self.streams:
            _set_stream_state(stream, state)

    def _restore_objects(self, now: dict[str, Any]) -> None:
        for name in [name for name in now if name not in self.own and name != "training"]:
            del now[name]
        for name, value in self.own.items():
            if name not in now or now[name] is not value:
                now[name] = value


class ModelState:
    """A model, remembered: `rewind` before every evaluation, `restore` at the end.

    Args:
        model: any module; nothing is changed by remembering it.
        batch: nested mappings, lists and tuples of tensors; a loss function that writes into them is undone too.
    """

    def __init__(self, model: nn.Module, batch: Any = None) -> None:
        modules = list(model.modules())
        self.random = RandomState()
        self.modes = [(module, module.training) for module in modules]
        self.attributes = [_Attributes(module) for module in modules]
        self.parameters = [(p, p.detach().clone(), p.requires_grad, p.grad) for p in model.parameters()]
        known = {id(p) for p, *_ in self.parameters}
        buffers: list[Tensor] = [b for b in model.buffers() if b is not None]
        loose = [t for module in modules for value in _own_values(module) for t in tensors_in(value)]
        unique = {id(t): t for t in [*buffers, *loose] if id(t) not in known}
        self.buffers = [(t, t.detach().clone(), t.requires_grad) for t in unique.values()]
        self.batch = [(t, t.detach().clone(), t._version) for t in tensors_in(batch) if not t.is_inference()]

    def rewind(self) -> None:
        """Everything but weights and modes as remembered, random streams included: the next evaluation is like the
        first."""
        for attributes in self.attributes:
            attributes.restore()
        for tensor, value, _ in self.buffers:
            _write(tensor, value)
        for index, (tensor, value, version) in enumerate(self.batch):
            if tensor._version != version:
                _write(tensor, value)
                self.batch[index] = (tensor, value, tensor._version)
        self.random.restore()

    def restore(self) -> None:
        """Everything as remembered; safe to run twice."""
        for parameter, value, _, _ in self.parameters:
            _write(parameter, value)
        self.rewind()
        for parameter, _, requires_grad, grad in self.parameters:
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
            if parameter.grad is not grad:
                parameter.grad = grad
        for tensor, _, requires_grad in self.buffers:
            if tensor.is_leaf and tensor.requires_grad != requires_grad:
                tensor.requires_grad_(requires_grad)
        for module, training in self.modes:
            module.training = training


@contextmanager
def preserved(model: nn.Module, batch: Any = None) -> Iterator[ModelState]:
    """Remember the model, run the block, and put everything back however the block ends (Ctrl-C included)."""
    state = ModelState(model, batch)
    try:
        yield state
    finally:
        try:
            state.restore()
        except KeyboardInterrupt:
            state.restore()  # a second Ctrl-C during the restoration must not leave the weights displaced
            raise


def tensors_in(value: Any, depth: int = 4) -> Iterator[Tensor]:
    """Every tensor in mappings, lists and tuples nested up to `depth` levels (a container may contain itself)."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, Mapping):
        for member in value.values():
            yield from tensors_in(member, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for member in value:
            yield from tensors_in(member, depth - 1)


def _own_values(module: nn.Module) -> Iterator[Any]:
    """Values of attributes that torch does not manage: a tensor among them is state as much as a buffer is."""
    for name, value in module.__dict__.items():
        if name not in ("_parameters", "_buffers", "_modules"):
            yield value


def _write(tensor: Tensor, value: Tensor) -> None:
    """Copy `value` in place, past the version counter: a graph that the caller still holds stays valid."""
    try:
        tensor.data.copy_(value)
    except RuntimeError:
        if not torch.equal(tensor, value):  # an expanded tensor cannot be written to, by nobody
            raise


def _members(container: Any) -> Any:
    return dict(container) if isinstance(container, dict) else list(container)


def _refill(container: Any, members: Any) -> None:
    """Give a container its remembered members back, unless it has them."""
    if isinstance(container, dict):
        same = len(container) == len(members) and all(
            key in container and container[key] is value for key, value in members.items()
        )
        if not same:
            container.clear()
            container.update(members)
    elif isinstance(container, list):
        if len(container) != len(members) or any(a is not b for a, b in zip(container, members, strict=True)):
            container[:] = members
    elif len(container) != len(members) or any(member not in container for member in members):
        container.clear()
        container.update(members)


def _is_stream(value: Any) -> bool:
    return isinstance(value, random.Random | np.random.Generator | np.random.RandomState)


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
