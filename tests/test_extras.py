"""A package that is missing is named with the extra that brings it, and every extra that is named exists."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.imports import modules

HIDE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def hidden(name, path=None, target=None):
    return None if name.partition(".")[0] == {package!r} else find(name, path, target)
PathFinder.find_spec = hidden
"""


def message(package: str, statement: str) -> str:
    program = HIDE.format(package=package) + statement
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("package", "statement", "extra"),
    [
        ("yaml", "import normlab.runs.training", "pipeline"),
        ("lightning", "import normlab.integrations.lightning", "lightning"),
        ("tensorboard", "from normlab.integrations import loggers; loggers.TensorBoardLogger('x')", "tensorboard"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package: str, statement: str, extra: str) -> None:
    said = message(package, statement)
    assert said.startswith("ModuleNotFoundError: normlab.")
    assert said.endswith(f"needs {package}, which is not installed: pip install 'normlab[{extra}]'")


def test_other_peoples_imports_are_left_alone() -> None:
    assert message("yaml", "import normlab, yaml") == "ModuleNotFoundError: No module named 'yaml'"
    named = "from normlab.nn import network; network('yaml:x', norm_layer='none', num_classes=2)"
    assert "normlab[" not in message("yaml", named)
    program = HIDE.format(package="wandb") + "import importlib.util, normlab; print(importlib.util.find_spec('wandb'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_every_package_of_an_integration_is_an_extra_and_the_library_needs_three() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    library = [line.partition(">")[0] for line in project["dependencies"]]
    assert library == ["torch", "numpy", "pandas"]
    used = [m.outside for name, m in modules().items() if name.startswith("normlab.integrations.")]
    packages = {package.partition(".")[0] for outside in used for package in outside}
    needed = packages - {*library, *sys.stdlib_module_names}
    assert {"lightning", "wandb"} <= needed <= project["optional-dependencies"].keys()
