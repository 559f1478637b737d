"""The parts that a person may add, by name: normalizers, networks, data sets. Nothing here imports torch or a part.

A name is either built in, one file a part (`batch` is `src/normlab/nn/normalizers/batch.py`, `vgg16` is depth 16 of the
family in `src/normlab/nn/networks/vgg.py`), or a dotted path `module:attribute`, found as Python finds modules: a file
of the working tree, or an installed package. A built-in name is short for a dotted path: `batch` for
`normlab.nn.normalizers.batch:batch`.
"""

import ast
import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from normlab.specs.errors import InputError
from normlab.specs.import_walk import defined_names, find_module, walk

Kind = Literal["normalizer", "network", "data", "scale"]
"""A scale is a normalizer in the closed form that the deep linear study computes with; those are built in alone."""

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = {"normalizer": "nn.normalizers", "network": "nn.networks", "scale": "studies.scales"}
LOADERS = {
    "normalizer": "normlab.nn",
    "network": "normlab.nn",
    "data": "normlab.data.sources",
    "scale": "normlab.studies.deep_linear.network",
}
"""The modules that load parts; what they import is a dependency of every stage that uses one."""
DOTTED = re.compile(r"(?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*")


@dataclass(frozen=True)
class Location:
    """Where a name leads.

    Attributes:
        module: the module, as Python imports it.
        attribute: the callable in it.
        options: what the name itself says: {"depth": 16} for `vgg16`.
    """

    module: str
    attribute: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What a run that uses a part depends on.

    Attributes:
        files: the part's file, then every file that it imports, of the working tree, relative to its root; less those
            that loading any part of the kind imports, which its stage depends on anyhow.
        requirement: `name==version` of the installed package that the part comes from, or None.
    """

    files: tuple[str, ...] = ()
    requirement: str | None = None


@cache
def stems(kind: Kind) -> tuple[str, ...]:
    """The built-in normalizers, or families of networks: the stems of the files in their folder."""
    if kind not in FOLDERS:
        return ()
    files = PACKAGE.joinpath(*FOLDERS[kind].split(".")).glob("*.py")
    return tuple(sorted(path.stem for path in files if path.stem != "__init__"))


@cache
def names(kind: Kind) -> tuple[str, ...]:
    """The built-in names of a kind: of a family with `DEPTHS` one for each depth, such as vgg11 and vgg16."""
    found = []
    for stem in stems(kind):
        found += [f"{stem}{depth}" for depth in _depths(kind, stem)] or [stem]
    return tuple(found)


def resolve(name: str, kind: Kind, where: str = "") -> Location:
    """Where `name` leads; only its spelling is looked at, so that it can be asked anywhere.

    Raises:
        InputError: neither a built-in name nor a dotted path.
    """
    if name in names(kind):
        stem = next(stem for stem in stems(kind) if re.fullmatch(rf"{stem}\d*", name))
        depth = name.removeprefix(stem)
        return Location(f"normlab.{FOLDERS[kind]}.{stem}", stem, {"depth": int(depth)} if depth else {})
    if DOTTED.fullmatch(name):
        module, _, attribute = name.partition(":")
        return Location(module, attribute)
    known = f"{', '.join(names(kind))}, or " if names(kind) else ""
    raise InputError(f"{where or kind}: accepted: {known}a path module:attribute, got {name!r}")


def family(network: str) -> str:
    """What a network is called in the tables' column `study`: `vgg` for `vgg16`, the slug of a dotted path."""
    return slug(network) if ":" in network else resolve(network, "network").attribute


def slug(name: str) -> str:
    """`name` as part of a folder's name: `my_layers.RMSNorm2d` for `my_layers:RMSNorm2d`; built-in names stay."""
    return name.replace(":", ".")


def check(name: str, kind: Kind, where: str = "") -> None:
    """Refuse a name that leads nowhere, as far as that can be seen without importing anything.

    Raises:
        InputError: no such name; its module is not found; the module's text does not define the attribute.
    """
    part, where = resolve(name, kind, where), where or kind
    spec = find_module(part.module)
    if spec is None:
        raise InputError(f"{where}: {name!r}: there is no module {part.module!r} here or among the installed packages")
    if spec.origin is None or not spec.origin.endswith(".py"):
        return
    defined = defined_names(Path(spec.origin))
    if defined is not None and part.attribute not in defined:
        public = [candidate for candidate in defined if not candidate.startswith("_")]
        raise InputError(f"{where}: {name!r}: {part.module} has no {part.attribute!r}; it has: {', '.join(public)}")


def sources(name: str, kind: Kind, root: Path | None = None) -> Source:
    """What a run that uses the part `name` depends on.

    Args:
        name: a built-in name or a dotted path.
        kind: what it names.
        root: of the working tree; by default the current folder.

    Raises:
        InputError: `check` refuses the name, or its module is neither a file of the working tree nor of an installed
            package, so that a run could not say what it used.
    """
    check(name, kind)
    part, root = resolve(name, kind), (root or Path.cwd()).resolve()
    if files := walk(part.module, root):
        shared = set(walk(LOADERS[kind], root)) - {files[0]}
        return Source(tuple(path.relative_to(root).as_posix() for path in files if path not in shared))
    packages = importlib.metadata.packages_distributions().get(part.module.partition(".")[0], ())
    if not packages:
        raise InputError(f"{kind}: {name!r}: {part.module} is neither a file below {root} nor an installed package")
    # without the build's suffix: 0.29.2+cpu and 0.29.2+cu132 are one version on two machines
    found = {f"{package}=={importlib.metadata.version(package).partition('+')[0]}" for package in packages}
    return Source(requirement=",".join(sorted(found)))


def check_packages(requirements: Iterable[str]) -> None:
    """Refuse to go on where another version of a package is installed than a run was asked to use.

    Args:
        requirements: each `name==version`, several joined by commas, as `Source.requirement` has them.

    Raises:
        InputError: another version is installed, or none.
    """
    for requirement in (single for entry in requirements for single in entry.split(",")):
        name, _, version = requirement.partition("==")
        try:
            found = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != version:
            raise InputError(f"--package {requirement}: installed is {found}; run `make repro` to use that")


def _depths(kind: Kind, stem: str) -> tuple[int, ...]:
    """The literal `DEPTHS` in a family's file (a tuple, or a dict with depths as keys), read without running it."""
    tree = ast.parse(PACKAGE.joinpath(*FOLDERS[kind].split("."), f"{stem}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "DEPTHS" for target in node.targets):
            return tuple(ast.literal_eval(node.value))
    return ()
