"""The files that can change a stage's numbers, as its `deps` in dvc.yaml; `make deps` writes them there.

What all stages that build a run's network need is one dependency of them, a folder of links (DVC looks through them):
dvc.lock has an entry for each dependency of each run, and is written anew at every stage.
"""

import io
import os
import re
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from tests.architecture.imports import SOURCE, modules, name_of, notebook_imports

from normlab.specs.import_walk import walk

ROOT = SOURCE.parent
DVC_YAML = ROOT / "dvc.yaml"
# what every program imports and no number depends on: the version and lazy names, a hook for Ctrl-C, an exception
WITHOUT_NUMBERS = {"normlab", "normlab.stages", "normlab.specs.errors"}
# named as a whole where a stage needs more than two of its files; each file of the other rooms is of other stages
FOLDERS = ("data", "probes", "theory", "tables", "runs", "paper", "analysis", "figures", "pages")
FOLDERS += tuple(f"studies/{name}" for name in ("checkpoints", "deep_linear", "statements"))
CHECK = "normlab.stages.check"
SHARED = "parts/run"
DATA = (".yaml", ".csv", ".css", ".html", ".j2", ".json")


@cache
def observers() -> set[str]:
    """The modules that .dvcignore keeps out of every dependency: they watch, and cannot change a number."""
    lines = (ROOT / ".dvcignore").read_text(encoding="utf-8").split("# observers")[1].splitlines()[1:]
    paths = [ROOT / line.strip().lstrip("/") for line in lines if line.strip()]
    return {
        name
        for name, module in modules().items()
        if any(module.path == path or path in module.path.parents for path in paths)
    }


def settings(stage: dict[str, Any]) -> dict[str, Any]:
    """What a stage says of itself, or of each of its instances."""
    return dict(stage.get("do", stage))


def program(stage: dict[str, Any]) -> str:
    """The module that the stage runs."""
    found = re.findall(r"python -m (normlab\.stages\.\w+)", str(settings(stage)["cmd"]))
    assert len(found) == 1, stage
    return str(found[0])


def needed(stage: dict[str, Any]) -> set[Path]:
    """The files behind a stage's program: its import closure, and the package data that these modules name.

    Of a stage that runs notebooks, also what these import. Files of a part (`parts/`) are not among them.
    """
    notebooks = any(str(dep).startswith("notebooks/") for dep in settings(stage).get("deps", []))
    return set(_needed(program(stage), notebooks))


@cache
def _needed(name: str, notebooks: bool) -> frozenset[Path]:
    names = {name}
    if notebooks:
        names |= set().union(*(notebook_imports(path) for path in (ROOT / "notebooks").glob("*.ipynb")))
    left_out = observers() | WITHOUT_NUMBERS
    files = {path for name in names - left_out for path in walk(name, ROOT, without=left_out)}
    constants = {text for path in files for text in modules()[name_of(path)].constants}
    data = {path for path in (SOURCE / "normlab").rglob("*") if path.suffix in DATA and path.name in constants}
    return frozenset(files | data)


def builds_network(stage: dict[str, Any]) -> bool:
    """Whether the stage builds the network of a run."""
    return "${item.network}" in settings(stage).get("deps", [])


def shared(stages: Iterable[dict[str, Any]]) -> set[Path]:
    """The files that every stage needs which builds the network of a run."""
    return set.intersection(*(needed(stage) for stage in stages if builds_network(stage)))


def links(files: Iterable[Path]) -> dict[str, Path]:
    """The links of `parts/run` by name."""
    return {path.relative_to(ROOT).as_posix().replace("/", "."): path for path in files}


def dependencies(stage: dict[str, Any], linked: set[Path]) -> list[str]:
    """The `deps` on sources that the stage has to have, sorted: files, and folders for several files of one room.

    Args:
        stage: the stage.
        linked: the files in `parts/run`.
    """
    found, files = set(), needed(stage)
    if builds_network(stage):
        found, files = {SHARED}, files - linked
    # the check takes two seconds and its output is always the same: it may depend on all sections
    for folder in (*FOLDERS, "specs") if program(stage) == CHECK else FOLDERS:
        inside = {path for path in files if SOURCE / "normlab" / folder in path.parents}
        if len(inside) > 2:
            found.add(f"src/normlab/{folder}")
            files -= inside
    return sorted(found | {path.relative_to(ROOT).as_posix() for path in files})


def rewritten(text: str) -> str:
    """dvc.yaml with every stage's dependencies below src/ as they have to be."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    document = yaml.load(text)
    linked = shared(document["stages"].values())
    for stage in document["stages"].values():
        own = stage.get("do", stage)
        others = [dep for dep in own.get("deps", []) if not str(dep).startswith(("src/", SHARED))]
        own["deps"] = CommentedSeq([*others, *dependencies(stage, linked)])
        own["deps"].fa.set_flow_style()
    out = io.StringIO()
    yaml.dump(document, out)
    return re.sub(r" +$", "", out.getvalue(), flags=re.MULTILINE)


if __name__ == "__main__":
    DVC_YAML.write_text(rewritten(DVC_YAML.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.rmtree(ROOT / SHARED, ignore_errors=True)
    (ROOT / SHARED).mkdir(parents=True)
    for link, path in links(shared(YAML().load(DVC_YAML)["stages"].values())).items():
        (ROOT / SHARED / link).symlink_to(os.path.relpath(path, ROOT / SHARED))
