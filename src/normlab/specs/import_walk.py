"""Modules found and read as text: where one lies, what it defines, what it imports. Nothing is ever run."""

import ast
import importlib.util
import symtable
from collections.abc import Collection
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from normlab.specs.errors import InputError

INSTALLED = ("site-packages", "dist-packages")


def find_module(name: str) -> ModuleSpec | None:
    """Where Python finds the module `name`, or None; unlike `importlib.util.find_spec` it imports no parent package."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module made by hand, or __main__
        return None
    for depth in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:
            return None
        below = ".".join([top, *rest[: depth + 1]])
        spec = PathFinder.find_spec(below, list(spec.submodule_search_locations))
    return spec


def defined_names(path: Path) -> list[str] | None:
    """The names that the file defines or imports at its top level; None where its text does not say (import *).

    Raises:
        InputError: the file is not Python.
    """
    tree = _parse(path)
    stars = any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree))
    if stars or any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body):
        return None
    table = symtable.symtable(path.read_text(encoding="utf-8"), str(path), "exec")
    return [symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()]


def walk(name: str, root: Path, without: Collection[str] = ()) -> tuple[Path, ...]:
    """The file of module `name` and all files below `root` that importing it runs, its own first, then sorted.

    Packages above a module are among them, files with nothing but a docstring are not. Imports inside functions count;
    those that are put together at run time do not, and neither does what lies outside of `root` or among the installed
    packages.

    Args:
        name: the module, as Python imports it.
        root: of the working tree.
        without: modules that are left out, with what only they import.

    Raises:
        InputError: one of the files is not Python.
    """
    own = _file_below(name, root)
    if own is None:
        return ()
    found: set[Path] = set()
    done: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in done or current in without:
            continue
        done.add(current)
        path = _file_below(current, root)
        if path is not None:
            tree = _parse(path)
            if not all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body):
                found.add(path)
            waiting += _imported(tree, current, is_package=path.name == "__init__.py")
        if "." in current:
            waiting.append(current.rpartition(".")[0])
    return (own, *sorted(found - {own}))


def _file_below(name: str, root: Path) -> Path | None:
    spec = find_module(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin).resolve()
    if not path.is_relative_to(root) or set(INSTALLED) & set(path.relative_to(root).parts):
        return None
    return path


def _imported(tree: ast.Module, name: str, is_package: bool) -> list[str]:
    """The modules that a file names in its imports; `from a import b` names both a and a.b, whichever exists."""
    package = name if is_package else name.rpartition(".")[0]
    targets = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            targets += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [target for target in targets if target]


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: not Python: {error}") from None
