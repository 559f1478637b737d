"""Leave no trace: what a forward pass or a walk over the weights can change, remembered and put back bit for bit.

What that is: everything that can be reached from the model, the batch and the loss function (`normlab.probes.reach`);
their tensors, arrays and random streams by their bytes (`memory`), everything else by who holds whom (`containers`),
and the global random streams of torch (CPU and CUDA), numpy and Python. Values are **copied back**; adding a step and
subtracting it again would leave rounding errors in the weights.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter, is_
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.interrupts import uninterrupted
from normlab.probes.inventory import Inventory
from normlab.probes.layouts import shared_memory
from normlab.probes.memory import Arrays, Memory, RandomState, Streams
from normlab.probes.reach import Reach

_TRAINING = attrgetter("training")


class ModelState:
    """A model, remembered: `rewind` before every evaluation, `restore` at the end.

    Args:
        model: any module.
        batch: one batch of any kind; a loss function that writes into it is undone too.
        functions: the loss function and what else is called.
        also: modules outside of the model that the loss reaches.
        inventory: of the model, where there is one already.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Any = None,
        functions: Sequence[Any] = (),
        also: Sequence[nn.Module] = (),
        inventory: Inventory | None = None,
    ) -> None:
        self.random = RandomState()
        self._with_graph = torch.is_grad_enabled()
        self.inventory = inventory or Inventory(model)
        self.trainable: list[Tensor] = list(self.inventory.trainable)
        self._roots = model, batch, functions, also
        self._modules = [module for _, module in self.inventory.modules]
        self._modes: list[bool] = list(map(_TRAINING, self._modules))
        self._failures: list[tuple[Any, BaseException]] = []
        self._remembered = False
        self._untouched = False  # no evaluation since

    def remember(self, mode: str | None = None) -> None:
        """Set the mode on every submodule and remember everything else as it is then."""
        model, batch, functions, also = self._roots
        if mode is not None:
            self._set_modes([mode == "train"] * len(self._modules))
        with torch.inference_mode(False), torch.no_grad():
            self.reach = Reach(model, batch, functions, also)
            first = {id(p) for p in self.trainable}
            registered = self.reach.registered
            rest = [t for t in self.reach.tensors if id(t) not in first]
            self.weights = Memory(self.trainable)
            self._buffers = Memory([t for t in rest if id(t) in registered])
            self._loose = Memory([t for t in rest if id(t) not in registered], compare=True)
            self._arrays = Arrays(self.reach.arrays)
            self._streams = Streams(self.reach.streams)
        self._remembered = self._untouched = True

    def rewind(self) -> bool:
        """Everything but the weights as remembered: the next evaluation is like the first.

        The weights are to be written after this, and not before: they may share memory with anything else.

        Returns:
            Whether there was anything to do: before the first evaluation all is as remembered, the weights too.
        """
        touched = not self._untouched
        if touched:
            self._put_back()
        self._untouched = False
        return touched

    def _put_back(self) -> None:
        """Everything but the bytes of the weights."""
        with torch.inference_mode(False):
            self.reach.containers.refill(self._failed)
            self.weights.restore_geometry(self._failed)
            self._buffers.restore(self._failed)
            self._loose.restore(self._failed)
            self._arrays.restore(self._failed)
            self._streams.restore(self._failed)
            self.random.restore()

    def restore(self) -> None:
        """Everything as remembered, every piece of it, also if one does not let itself be put back; safe to run twice.

        Warns:
            RuntimeWarning: names what could not be put back.
        """
        self._failures.clear()
        if self._remembered:
            self._put_back()
            self.weights.restore_bytes(self._failed)  # their geometry is as it was
        else:
            self.random.restore()
        self._set_modes(self._modes)
        torch.set_grad_enabled(self._with_graph)  # Ctrl-C can come within the end of a block of torch.no_grad
        if self._failures:
            reasons = "; ".join(dict.fromkeys(f"{self._named(what)} ({error})" for what, error in self._failures))
            warnings.warn(f"a probe could not put back {reasons}; all else is as before", RuntimeWarning, stacklevel=2)

    def shared_weights(self) -> tuple[str, str] | None:
        """Names of two trainable parameters over one memory (of one, twice, if its elements share memory), or None."""
        found = shared_memory(self.trainable)
        if found is None:
            return None
        names = {id(p): name for name, p in self.inventory.parameters}
        return names[id(self.trainable[found[0]])], names[id(self.trainable[found[1]])]

    def _failed(self, what: Any, error: BaseException) -> None:
        self._failures.append((what, error))

    def _named(self, what: Any) -> str:
        """What could not be put back, by its name in the model if it has one."""
        if not isinstance(what, Tensor):
            return str(what)
        for name, module in self._roots[0].named_modules():
            for key, value in (*module._parameters.items(), *module._buffers.items(), *module.__dict__.items()):
                if value is what:
                    return f"{name}.{key}" if name else key
        return f"a tensor of shape {tuple(what.shape)} and type {what.dtype}"

    def _set_modes(self, modes: list[bool]) -> None:
        if not all(map(is_, map(_TRAINING, self._modules), modes)):
            for module, training in zip(self._modules, modes, strict=True):
                if module.training is not training:  # not module.train(): a caller's override could leave layers out
                    module.training = training


@contextmanager
def preserved(
    model: nn.Module,
    batch: Any = None,
    functions: Sequence[Any] = (),
    also: Sequence[nn.Module] = (),
    mode: str | None = None,
    inventory: Inventory | None = None,
) -> Iterator[ModelState]:
    """Remember the model, run the block, and put everything back however the block ends (Ctrl-C included).

    Args:
        model: any module.
        batch: one batch of any kind.
        functions: the loss function and what else the block calls.
        also: modules outside of the model that the loss reaches.
        mode: "train" or "eval" for the time of the block; by default every module stays in its own.
        inventory: of the model, where there is one already.
    """
    state = ModelState(model, batch, functions, also, inventory)
    try:
        state.remember(mode)
        yield state
    finally:
        try:
            with uninterrupted():
                state.restore()
        except KeyboardInterrupt:  # it came before Ctrl-C was held off
            with uninterrupted():
                state.restore()
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
