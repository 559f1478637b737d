"""normlab: measurements for the question why Batch Normalization helps optimization.

`normlab.probes` measures the loss landscape of any `torch.nn.Module`, `normlab.nn` has the normalizers and networks of
the paper, `normlab.theory` its statements, as printed and as corrected. They need torch, numpy and pandas only.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"
_LAZY = ("nn", "probes", "theory")


def __getattr__(name: str) -> ModuleType:
    # loaded at first use, so that a stage that needs one of them does not import (or depend on) the others
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
