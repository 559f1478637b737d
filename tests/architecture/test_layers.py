"""The library is a stack: a module imports from lower layers only, and heavy tools stay where they belong."""

from graphlib import TopologicalSorter

import pytest
from tests.architecture.imports import modules

# lowest first; the README shows the same stack
ROOMS = (
    "specs",
    "seeding",
    "nn",
    "data",
    "probes",
    "theory",
    "tables",
    "runs",
    "studies",
    "paper",
    "analysis",
    "figures",
    "pages",
    "tracking",
    "scheduling",
    "integrations",
    "rerun",
    "stages",
)
LAYERS = {layer: (room,) for layer, room in enumerate(ROOMS)}
# imported by these modules and no others
CONFINED = {
    "mlflow": {"tracking.store"},
    "papermill": {"stages.report"},
    "dvc": set(),
    "dask": set(),
    "ruamel": set(),
}


def _layer(name: str) -> int:
    inner = name.removeprefix("normlab").removeprefix(".")
    fitting = [
        (len(prefix), layer)
        for layer, prefixes in LAYERS.items()
        for prefix in prefixes
        if inner == prefix or inner.startswith(f"{prefix}.")
    ]
    assert fitting or not inner, f"{name}: which layer is it? Add it to LAYERS"
    return max(fitting)[1] if fitting else -1


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down_the_stack(name: str) -> None:
    package = name.split(".")[1:2]
    for target in modules()[name].imports:
        sideways_inside = target.split(".")[1:2] == package
        assert sideways_inside or _layer(target) < _layer(name), f"{name} (layer {_layer(name)}) imports {target}"


def test_no_import_cycles() -> None:
    order = list(TopologicalSorter({name: module.imports for name, module in modules().items()}).static_order())
    assert set(order) == set(modules())  # a cycle has no order: it raises before this


@pytest.mark.parametrize("tool", sorted(CONFINED))
def test_tools_stay_in_their_module(tool: str) -> None:
    users = {name.removeprefix("normlab.") for name, module in modules().items() if tool in module.outside}
    assert users <= CONFINED[tool]


def test_modules_and_functions_stay_readable() -> None:
    for name, module in modules().items():
        lines = module.path.read_text(encoding="utf-8").count("\n")
        assert lines <= 300, f"{name} has {lines} lines"
