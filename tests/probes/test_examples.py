"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import normlab.probes

MODULES = [module.name for module in pkgutil.iter_modules(normlab.probes.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    torch.manual_seed(0)
    module = importlib.import_module(f"normlab.probes.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_public_function_has_one() -> None:
    for name in normlab.probes.__all__:
        if name.islower() or name == "Monitor":
            assert ">>> " in getattr(normlab.probes, name).__doc__, name
