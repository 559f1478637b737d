"""The library is a stack: a module imports from lower layers only, and heavy tools stay where they belong."""

import ast
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
    "records",
    "tracking",
    "scheduling",
    "integrations",
    "rerun",
    "stages",
)
LAYERS = {layer: (room,) for layer, room in enumerate(ROOMS)}
# imported by these modules and no others
CONFINED = {
    "mlflow": {"tracking.store", "integrations.loggers"},
    "tensorboard": {"integrations.loggers"},
    "lightning": {"integrations.lightning"},
    "transformers": {"integrations.hugging_face"},
    "accelerate": {"integrations.accelerate"},
    "wandb": {"integrations.loggers"},
    "papermill": {"stages.report"},
    "dvc": {"scheduling.dvc_repo"},
    "dask": set(),
    "distributed": {"scheduling.machines", "scheduling.on_worker"},
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


def _part(name: str) -> str:
    """The part of a room that a module is in: its sub-package, or the module itself if it lies in the room directly."""
    return ".".join(name.split(".")[:3])


@pytest.mark.parametrize("room", ROOMS)
def test_the_parts_of_a_room_have_an_order_too(room: str) -> None:
    # a sub-package is a part as a whole: `analysis.claims` stands on the modules beside it, and none of them on it
    inside = {name for name in modules() if name.split(".")[1:2] == [room]}
    graph: dict[str, set[str]] = {_part(name): set() for name in inside}
    for name in inside:
        graph[_part(name)] |= {_part(target) for target in modules()[name].imports & inside} - {_part(name)}
    assert set(TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_imports_the_room_that_it_is_in(room: str) -> None:
    # the room's __init__ gathers its modules for others: from inside, it is a detour that hides the order
    package = f"normlab.{room}"
    assert not [name for name in modules() if name.startswith(f"{package}.") and package in modules()[name].imports]


def test_every_room_exists_and_none_holds_more_than_a_fifth_of_the_lines() -> None:
    sizes = dict.fromkeys(ROOMS, 0)
    for name, module in modules().items():
        if room := ".".join(name.split(".")[1:2]):
            sizes[room] += module.path.read_text(encoding="utf-8").count("\n")
    assert all(sizes.values()), sizes
    assert max(sizes.values()) <= 0.2 * sum(sizes.values()), sizes


FUNCTION_LIMIT, MODULE_LIMIT = 60, 300


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its `def`, without its docstring."""
    assert function.end_lineno is not None
    first, docstring = function.body[0], 0
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        assert first.end_lineno is not None
        docstring = first.end_lineno - first.lineno + 1
    return function.end_lineno - function.lineno + 1 - docstring


def test_lines_of_a_function_are_counted_without_its_docstring() -> None:
    (function,) = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    x = 1\n\n    return x\n').body
    assert isinstance(function, ast.FunctionDef)
    assert _lines(function) == 4


def test_modules_and_functions_stay_readable() -> None:
    for name, module in modules().items():
        lines = module.path.read_text(encoding="utf-8").count("\n")
        assert lines <= MODULE_LIMIT, f"{name} has {lines} lines"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert _lines(node) <= FUNCTION_LIMIT, f"{name}.{node.name} has {_lines(node)} lines"
