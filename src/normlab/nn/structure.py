"""What the studies ask of a network: its normalized layers in their order, and what produces each one's input.

This is the whole interface. Nothing is read from the names of modules: a *normalized layer* is a module that the
network got from its `norm_layer` (`normlab.nn.normalizer` marks it; "none" leaves an `nn.Identity` at its place), and
the rest is seen in one forward pass. A network that shows less than this is trained and probed all the same, without
the measurements that need it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NormalizedLayer:
    """A place where a normalizer stands.

    Attributes:
        name: of the normalizer's module, as in `model.named_modules()`.
        producer: name of the weight layer whose output, untouched, is the normalizer's input (a convolution, a linear
            layer); None where something else stands between, such as the sum of a residual branch.
    """

    name: str
    producer: str | None


@dataclass(frozen=True)
class Structure:
    """What one forward pass shows of a network.

    Attributes:
        normalized: the normalized layers in the order in which they are used.
    """

    normalized: tuple[NormalizedLayer, ...]

    @property
    def taps(self) -> list[str]:
        """The names of the normalized layers: what stands in front of the non-linearities."""
        return [layer.name for layer in self.normalized]

    @property
    def producers(self) -> dict[str, str]:
        """Normalized layer → weight layer, for those that have one."""
        return {layer.name: layer.producer for layer in self.normalized if layer.producer is not None}

    @property
    def places(self) -> dict[str, int]:
        """Normalized layer, or weight layer in front of one → its number from input to output, from 1.

        This is how the paper numbers the layers of its VGG, so that "layer 9" is the same one in any network.
        """
        found: dict[str, int] = {}
        for place, layer in enumerate(self.normalized, start=1):
            for name in (layer.name, layer.producer):
                if name is not None:
                    found.setdefault(name, place)
        return found


def read_structure(model: nn.Module, inputs: Tensor) -> Structure:
    """The structure of a network, from one forward pass of a copy of it in eval mode.

    Args:
        model: any module that is called with one tensor.
        inputs: a few inputs, of the model's type and device.
    """
    model = copy.deepcopy(model).eval()  # hooks, modes and running statistics of the network itself stay as they are
    passes = _Passes(model)
    with torch.no_grad():
        model(inputs)
    return Structure(tuple(passes.normalized.values()))


class _Passes:
    """Watches which innermost module gave which tensor."""

    def __init__(self, model: nn.Module) -> None:
        self.normalized: dict[str, NormalizedLayer] = {}
        self._names: dict[int, str] = {}  # tensor → name of the innermost module that returned it last
        self._kept: list[Tensor] = []  # alive, so that no other tensor gets the same id
        self._weighted: set[str] = set()
        for name, module in model.named_modules():
            if any(parameter.ndim >= 2 for parameter in module.parameters(recurse=False)):
                self._weighted.add(name)
            if getattr(module, "from_norm_layer", False) is True:
                module.register_forward_pre_hook(self._enter(name))
            if not list(module.children()):
                module.register_forward_hook(self._leave(name))

    def _producer(self, value: Any) -> str | None:
        """The weight layer that gave this tensor, if no other module touched it since."""
        name = self._names.get(id(value))
        return name if name in self._weighted else None

    def _enter(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            producer = self._producer(inputs[0]) if inputs else None
            self.normalized.setdefault(name, NormalizedLayer(name, producer))

        return hook

    def _leave(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor):
                # modules that return their input (in place, or with nothing to do in eval mode) take its place
                self._names[id(output)] = name
                self._kept.append(output)

        return hook
