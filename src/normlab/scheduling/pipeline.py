"""The stages of dvc.yaml one by one, as DVC makes them of its templates, for any parameter file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from normlab.scheduling.lock_reader import Loader
from normlab.specs.strict import InputError

PLACE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: such as `train@vgg11-batch-0.1-0`.
        cmd: its command.
        deps: paths that it reads.
        params: sections of params.yaml that it reads.
        outs: paths that it writes, those that are kept in Git among them.
        uncached: those of `outs` that DVC keeps no copy of.
    """

    name: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]
    uncached: tuple[str, ...] = ()

    @property
    def template(self) -> str:
        """The entry of dvc.yaml that it is made of: `train`."""
        return self.name.partition("@")[0]

    @property
    def key(self) -> str:
        """Which one of its template it is: `vgg11-batch-0.1-0`; "" where there is one alone."""
        return self.name.partition("@")[2]


def read_stages(path: Path, entries: Mapping[str, Any]) -> dict[str, Stage]:
    """All stages by name, every one after those whose outputs it reads.

    Of DVC's language this is what the file uses: `foreach … do`, `${name}`, `${item}`, `${item.name}`, `${key}`.

    Args:
        path: dvc.yaml.
        entries: what the file iterates over, the content of runs.yaml.

    Raises:
        InputError: the file is missing or uses something else.
    """
    try:
        raw = yaml.load(path.read_bytes(), Loader)["stages"]
        found = [stage for name, entry in raw.items() for stage in _stages(name, entry, entries)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the root of the repository") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a dvc.yaml as this program reads it: {' '.join(str(error).split())}") from None
    stages, writers = {stage.name: stage for stage in found}, Writers(found)
    before = {stage.name: set().union(*map(writers.of, stage.deps)) for stage in found}
    return {name: stages[name] for name in TopologicalSorter(before).static_order()}


class Writers:
    """Which stages write a path.

    Args:
        stages: all of them.
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._at: dict[str, set[str]] = {}
        self._below: dict[str, set[str]] = {}
        for stage in stages:
            for out in stage.outs:
                self._at.setdefault(out, set()).add(stage.name)
                for folder in (out, *above(out)):
                    self._below.setdefault(folder, set()).add(stage.name)

    def of(self, path: str) -> set[str]:
        """The names of the stages that write the path itself, something below it, or a folder above it."""
        return self._below.get(path, set()).union(*(self._at.get(folder, set()) for folder in above(path)))


def above(path: str) -> list[str]:
    """The folders that a path lies in, the nearest first."""
    return [str(folder) for folder in PurePosixPath(path).parents][:-1]


def _stages(name: str, entry: Mapping[str, Any], entries: Mapping[str, Any]) -> list[Stage]:
    if "foreach" not in entry:
        return [_stage(name, _filled(entry, entries))]
    items = _filled(entry["foreach"], entries)
    pairs = items.items() if isinstance(items, Mapping) else ((item, item) for item in items)
    return [_stage(f"{name}@{key}", _filled(entry["do"], {**entries, "key": key, "item": item})) for key, item in pairs]


def _filled(value: Any, names: Mapping[str, Any]) -> Any:
    """`value` with the values of `names` in the places `${…}`; a text that is one place is the value itself."""
    if isinstance(value, Mapping):
        return {key: _filled(entry, names) for key, entry in value.items()}
    if isinstance(value, list):
        return [_filled(entry, names) for entry in value]
    if not isinstance(value, str):
        return value
    if whole := PLACE.fullmatch(value):
        return _named(whole[1], names)
    return PLACE.sub(lambda place: str(_named(place[1], names)), value)


def _named(path: str, names: Mapping[str, Any]) -> Any:
    value: Any = names
    for name in path.split("."):
        value = value[name]
    return value


def _stage(name: str, entry: Mapping[str, Any]) -> Stage:
    outs = [*entry.get("outs", ()), *entry.get("metrics", ())]
    paths = {
        path: options for out in outs for path, options in (out.items() if isinstance(out, Mapping) else [(out, {})])
    }
    return Stage(
        name=name,
        cmd=" ".join(entry["cmd"].split()),
        deps=tuple(entry.get("deps", ())),
        params=tuple(entry.get("params", ())),
        outs=tuple(paths),
        uncached=tuple(path for path, options in paths.items() if options.get("cache") is False),
    )
