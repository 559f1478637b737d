"""A model's modules, parameters and buffers with their names, looked for once a call."""

from collections.abc import Callable, Iterable
from itertools import compress
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

_REQUIRES_GRAD = attrgetter("requires_grad")


class Inventory:
    """What a module holds, as its own methods tell it, each once and in their order.

    Attributes:
        model: the module.
        modules: as in `model.named_modules()`.
        parameters: as in `model.named_parameters()`.
        buffers: as in `model.named_buffers()`.
        trainable: those of `model.parameters()` with `requires_grad`.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.modules: list[tuple[str, nn.Module]] = list(model.named_modules())
        self.parameters: list[tuple[str, nn.Parameter]] = self._members(model.named_parameters, "_parameters")
        self.buffers: list[tuple[str, Tensor]] = self._members(model.named_buffers, "_buffers")
        parameters = [p for _, p in self.parameters] if _is_torchs(model.parameters) else list(model.parameters())
        self.trainable = list(compress(parameters, map(_REQUIRES_GRAD, parameters)))

    def slots(self) -> dict[int, tuple[nn.Module, str]]:
        """id of a parameter → the module that holds it and its name there (the first, for a tied one)."""
        slots: dict[int, tuple[nn.Module, str]] = {}
        for _, module in self.modules:
            for key, parameter in module._parameters.items():
                slots.setdefault(id(parameter), (module, key))
        return slots

    def _members(self, method: Callable[[], Iterable[tuple[str, Any]]], kind: str) -> list[tuple[str, Any]]:
        """What the method yields; torch's own goes through all modules once more, for what is known already."""
        if not _is_torchs(method):
            return list(method())
        found: dict[int, tuple[str, Any]] = {id(None): ("", None)}
        for prefix, module in self.modules:
            members = getattr(module, kind)
            if members:  # most modules have none of a kind
                for key, member in members.items():
                    if id(member) not in found:
                        found[id(member)] = (f"{prefix}.{key}" if prefix else key, member)
        return list(found.values())[1:]


_TORCHS = (nn.Module.parameters, nn.Module.named_parameters, nn.Module.named_buffers)


def _is_torchs(method: Any) -> bool:
    """Whether a module's method is that of `nn.Module`, and no class or object has a rule of its own."""
    return getattr(method, "__func__", None) in _TORCHS
