"""Who imports whom in normlab, read from the source text without running it."""

import ast
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"


@dataclass
class Module:
    """One source file: its dotted name, the normlab modules it imports, and others named only at run time."""

    name: str
    path: Path
    tree: ast.Module
    imports: set[str] = field(default_factory=set)
    by_name: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)

    @property
    def constants(self) -> set[object]:
        """Every literal in it."""
        return {node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant)}

    @property
    def is_only_a_docstring(self) -> bool:
        return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in self.tree.body)


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Module]:
    """Every module of normlab by its dotted name."""
    found = {}
    for path in sorted((SOURCE / "normlab").rglob("*.py")):
        found[name_of(path)] = Module(name_of(path), path, ast.parse(path.read_text(encoding="utf-8")))
    for module in found.values():
        _read_imports(module, set(found))
    return found


def _read_imports(module: Module, names: set[str]) -> None:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{module.name}: relative imports hide the layer"
            assert node.level == 0, f"{module.name}: relative imports hide the layer"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [name if name in names else node.module for name in inner]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and str(argument.value).startswith("normlab"):
                module.by_name.add(str(argument.value))
            elif isinstance(argument, ast.Constant):
                module.outside.add(str(argument.value).partition(".")[0])
            continue
        else:
            continue
        for target in targets:
            if target.partition(".")[0] == "normlab":
                module.imports.add(target)
            else:
                module.outside.add(target.partition(".")[0])


def notebook_imports(path: Path) -> set[str]:
    """The normlab modules that the code cells of a notebook import."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    module = Module(path.stem, path, ast.parse(source))
    _read_imports(module, set(modules()))
    return module.imports | {f"normlab.{name}" for name in ("nn", "probes", "theory") if f"normlab.{name}" in source}


def closure(name: str) -> set[str]:
    """`name` and everything that importing it runs, packages above included."""
    done: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in done:
            continue
        done.add(current)
        waiting += modules()[current].imports
        if "." in current:
            waiting.append(current.rpartition(".")[0])
    return done
