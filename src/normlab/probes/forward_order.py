"""In which order a forward pass first uses the parameters of a model: what "the layers before k" means.

The order is observed on one forward pass, not read off the module tree: modules may be registered in any order, called
several times, or never be called at all (`nn.MultiheadAttention` uses the weight of its `out_proj` itself).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode


def own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Trainable parameters of the module itself, not of its submodules; those behind a parametrization included."""
    own = list(module.parameters(recurse=False))
    if parametrize.is_parametrized(module):
        own += list(module.get_submodule("parametrizations").parameters())
    return [p for p in dict.fromkeys(own) if p.requires_grad]


class ForwardOrder(TorchFunctionMode):
    """A block that watches one forward pass: every call of a module, every torch function that takes a parameter.

    Time is counted in uses. A use counts for a parameter while some module is being called; one outside of all modules
    (a penalty in the loss function) only where there is no other.

    Attributes:
        owned: every module's own trainable parameters, as they are before the pass (which may replace them).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.owned = {module: own_parameters(module) for module in model.modules()}
        self._owners: dict[int, list[nn.Module]] = {}
        for module, parameters in self.owned.items():
            for p in parameters:
                self._owners.setdefault(id(p), []).append(module)
        self._clock = 0
        self._active: list[nn.Module] = []
        self._called: dict[nn.Module, int] = {}
        self._uses: dict[int, list[float]] = {}  # id of a parameter -> first use inside modules, and anywhere
        self._layer_uses: dict[nn.Module, int] = {}
        self._hooks = ExitStack()

    def __enter__(self) -> "ForwardOrder":
        for module in self.owned:
            before = module.register_forward_pre_hook(self._enter_module, prepend=True)
            self._hooks.callback(before.remove)
            after = module.register_forward_hook(self._leave_module, always_call=True)
            self._hooks.callback(after.remove)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            self._hooks.close()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        # reading a shape or a device is no use: a use makes something that is differentiable
        if _differentiable(result):
            for tensor in _tensors((args, kwargs)):
                if id(tensor) in self._owners:
                    self._record(tensor)
        return result

    def of_parameter(self, parameter: Tensor) -> float:
        """Time of the first use, ∞ for a parameter that the forward pass never uses."""
        inside, anywhere = self._uses.get(id(parameter), [math.inf] * 2)
        if math.isfinite(inside):
            return inside
        # a call whose uses torch does not show (a custom autograd function): the call itself is the time
        calls = [self._called[owner] for owner in self._owners.get(id(parameter), ()) if owner in self._called]
        return min(calls, default=anywhere)

    def of_module(self, module: nn.Module) -> float:
        """Time at which the module first uses a parameter of its own during its own call."""
        if module in self._layer_uses:
            return self._layer_uses[module]
        own = [self.of_parameter(p) for p in self.owned[module]]
        return self._called[module] if module in self._called else min(own, default=math.inf)

    def _record(self, parameter: Tensor) -> None:
        self._clock += 1
        uses = self._uses.setdefault(id(parameter), [math.inf] * 2)
        for module in self._owners[id(parameter)]:
            if any(active is module for active in self._active):
                self._layer_uses.setdefault(module, self._clock)
        if self._active:
            uses[0] = min(uses[0], self._clock)
        uses[1] = min(uses[1], self._clock)

    def _enter_module(self, module: nn.Module, args: Any) -> None:
        self._clock += 1
        self._called.setdefault(module, self._clock)
        self._active.append(module)

    def _leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        self._active.pop()


def _differentiable(result: Any) -> bool:
    return any(tensor.requires_grad for tensor in _tensors(result))


def _tensors(value: Any, depth: int = 4) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, Mapping | list | tuple):
        members: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
        for member in members:
            yield from _tensors(member, depth - 1)


__all__ = ["ForwardOrder", "own_parameters"]
