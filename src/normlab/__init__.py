"""normlab: measurements for the question why Batch Normalization helps optimization.

`normlab.probes` measures the loss landscape of any `torch.nn.Module`, `normlab.nn` has the normalizers and networks of
the paper, `normlab.theory` its statements, as printed and as corrected. They need torch, numpy and pandas only;
`normlab.integrations` and the rooms of the pipeline need further packages, each an extra of this one.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

__version__ = "0.1.0"
_LAZY = ("integrations", "nn", "probes", "theory")


class _MissingExtra(MetaPathFinder):
    """Asked last of all, so for packages that are missing: to a module of normlab it says which extra brings them."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__") == "importlib._bootstrap":  # an import statement's own
            frame = frame.f_back
        importer = frame.f_globals.get("__name__", "")
        if importer.startswith("normlab.") and "." not in fullname:
            # an integration is named after its package, which is its own extra; all else is the pipeline's
            extra = fullname if importer.startswith("normlab.integrations.") else "pipeline"
            raise ModuleNotFoundError(
                f"{importer} needs {fullname}, which is not installed: pip install 'normlab[{extra}]'", name=fullname
            )


sys.meta_path.append(_MissingExtra())


def __getattr__(name: str) -> ModuleType:
    # loaded at first use, so that a stage that needs one of them does not import (or depend on) the others
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
