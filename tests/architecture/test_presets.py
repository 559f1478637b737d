"""The presets are complete and strict, and the committed params.yaml is the quick one."""

import ast
import importlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.architecture.imports import SOURCE, modules

from normlab.specs.strict import InputError, build, load_params

ROOT = SOURCE.parent
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


def _specs() -> dict[str, type]:
    """Section → dataclass, read from every `load_section(path, "name", Class)` and `build(Class, …, "name")`."""
    found: dict[str, type] = {}
    for module in modules().values():
        for call in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
            function = getattr(call.func, "id", getattr(call.func, "attr", ""))
            order = {"load_section": (1, 2), "build": (2, 0)}.get(function)
            if order is None or len(call.args) <= max(order):
                continue
            section, cls = call.args[order[0]], call.args[order[1]]
            if isinstance(section, ast.Constant) and isinstance(cls, ast.Name):
                found[str(section.value)] = getattr(importlib.import_module(module.name), cls.id)
    return found


@pytest.fixture(scope="module")
def specs() -> dict[str, type]:
    return _specs()


def test_three_presets() -> None:
    assert [path.stem for path in PRESETS] == ["cifar-cpu", "paper", "quick"]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_section_of_a_preset_fits_its_spec(path: Path, specs: dict[str, type]) -> None:
    params: dict[str, Any] = load_params(path)
    assert set(params) <= set(specs), f"no program reads {set(params) - set(specs)}"
    for section, values in params.items():
        build(specs[section], values, section)
        with pytest.raises(InputError, match=f"{section}.no_such_key: unknown key"):
            build(specs[section], {**values, "no_such_key": 1}, section)


def test_presets_have_the_same_sections() -> None:
    sections = [list(load_params(path)) for path in PRESETS]
    assert sections[0] == sections[1] == sections[2]


def test_committed_settings_are_the_quick_preset() -> None:
    names = ("params.yaml", "presets/quick.yaml")
    show = [
        subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, check=False) for name in names
    ]
    if any(done.returncode for done in show):  # not a Git checkout: the files themselves
        assert (ROOT / names[0]).read_bytes() == (ROOT / names[1]).read_bytes()
    else:
        assert show[0].stdout == show[1].stdout
