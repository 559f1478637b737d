"""Normalizers and networks of the paper, with the normalizer as an argument, and the door for other people's.

Every family of networks in `normlab.nn.networks` is an attribute here: `nn.vgg`, `nn.resnet`, `nn.deep_linear`.
"""

import importlib
from typing import Any

from normlab.nn.registry import NormLayer, network, normalizer
from normlab.specs.parts import stems

__all__ = ["NormLayer", "network", "normalizer"]


def __getattr__(name: str) -> Any:
    # loaded at first use: a run depends on the files of its own network and normalizer, not on those of all
    if name in stems("network"):
        return getattr(importlib.import_module(f"normlab.nn.networks.{name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *stems("network")])
