"""Kinds of Python objects, as far as a walk over them cares: without state, libraries' own, shared with others."""

import random
import sys
import types
from typing import Any

import numpy as np
import torch

LIBRARIES = frozenset(sys.stdlib_module_names) - {"__main__"} | {"torch", "numpy", "scipy", "pandas", "torchvision"}
_MACHINERY_PACKAGES = frozenset(
    "accelerate asyncio concurrent importlib lightning lightning_fabric logging mlflow multiprocessing "  # noqa: SIM905
    "pytorch_lightning queue socket tensorboard threading tqdm unittest wandb weakref".split()
)
_PRIVATE = ("torch._", "torch.autograd.", "torch.cuda.", "torch.distributed.", "torch.fx.", "torch.jit.")
_DATA = ("torch.utils.data.", "torch.utils.tensorboard.", "transformers.train", "normlab.integrations.")
ATOMS: set[type] = {
    *(int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented), slice, range, type),
    *(torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format),
    *(types.ModuleType, types.BuiltinFunctionType, types.CodeType, types.WrapperDescriptorType, types.GenericAlias),
}
STREAMS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)


def is_machinery(kind: type) -> bool:
    """Whether objects of this class belong to a library's workings or to the training, not to a model's state."""
    bases = [f"{base.__module__}." for base in kind.__mro__ if base is not object]
    return any(name.partition(".")[0] in _MACHINERY_PACKAGES or name.startswith(_PRIVATE + _DATA) for name in bases)


def is_shared(value: Any) -> bool:
    """Whether an object that holds this is shared with a thread or the outside, and not a model's alone."""
    return type(value).__module__ in ("_thread", "_io", "threading", "_socket")


def is_shared_value(name: str, value: Any) -> bool:
    """Whether a class's entry is a value that its instances share, and not code or Python's own bookkeeping."""
    code = callable(value) or hasattr(type(value), "__get__") or isinstance(value, types.ModuleType)
    return not code and not (name.startswith("__") and name.endswith("__")) and name != "_abc_impl"


def content(cell: types.CellType) -> Any:
    """The value of a variable that a function closes over; None while it has none."""
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def names(code: types.CodeType) -> set[str]:
    """Global names in a function's code and in the functions inside of it (attribute names are among them)."""
    inner = [names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def root(found: Any) -> str:
    """The top package that a function or class is defined in."""
    return str(getattr(found, "__module__", None) or "").partition(".")[0]


def slot_names(kind: type) -> list[str]:
    """Names of the attributes that a class keeps in slots."""
    slots = kind.__dict__.get("__slots__", ())
    given = [slots] if isinstance(slots, str) else list(slots)
    mangled = [f"_{kind.__name__.lstrip('_')}{n}" if n.startswith("__") and not n.endswith("__") else n for n in given]
    return [name for name in mangled if name not in ("__dict__", "__weakref__")]
