"""From params.yaml to what DVC iterates over: the runs of the grid, one by one, with the files that only they use.

DVC cannot multiply the blocks of the grid, and takes no list of dependencies from a variable. So `runs.yaml` has an
entry a run, with one path for its network and one for its normalizer: folders such as `parts/normalizer/l1/`, which
hold links to the files of the working tree that the part consists of (DVC looks through them), or `requirement.txt`
for a part of an installed package. A data set of one's own has its folder in `parts/data/`, and a normalizer's closed
form in the deep linear study one in `parts/scale/`.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from normlab.specs.dln import DlnCell
from normlab.specs.lottery import lottery_cells
from normlab.specs.parts import PACKAGE, Kind, Source, resolve, slug, sources
from normlab.specs.strict import InputError
from normlab.specs.study import StudySpec
from normlab.specs.training import RunSpec

RUNS, PARTS, REQUIREMENT = "runs.yaml", "parts", "requirement.txt"
HEADER = "# Written by `make repro` (python -m normlab.stages.expand) from params.yaml: what dvc.yaml runs over.\n"
AGREED = "params.yaml and runs.yaml can be used, and agree\n"
"""What the stage `check` writes if everything is right: always the same, so that nothing follows from it."""
REPOSITORY = PACKAGE.parents[1]


@dataclass(frozen=True)
class Expansion:
    """What belongs on disk beside a parameter file.

    Attributes:
        entries: the content of runs.yaml.
        parts: a folder such as `parts/normalizer/l1` each: what the part consists of.
    """

    entries: dict[str, Any]
    parts: dict[str, Source]

    @property
    def text(self) -> str:
        """The file runs.yaml."""
        return HEADER + yaml.dump(self.entries, sort_keys=False, allow_unicode=True, width=1000, Dumper=_NoAliases)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def expand(study: StudySpec, root: Path) -> Expansion:
    """The runs and cells of `study`, and the parts that they use: of the package, or of the working tree at `root`.

    Raises:
        InputError: a dotted path leads nowhere.
    """
    parts: dict[str, Source] = {}
    for run in study.runs:
        for name, kind in _parts_of(run):
            if _folder(name, kind) not in parts:
                parts[_folder(name, kind)] = sources(name, kind, root if ":" in name else REPOSITORY)
    runs, measured = _entries(study.runs, parts), {}
    if study.train.checkpoints == "few":  # train and probe in one process, which keeps what other stages look at
        for run in study.runs:
            entry = runs.pop(run.name)
            looked_at = study.looked_at(run)
            keep = f" --keep {' '.join(map(str, looked_at))}" if looked_at else ""
            measured[run.name] = {**entry, "train": entry["train"] + keep}
    lottery = lottery_cells(study.dln_lottery)
    scales = [*study.dln_grid.norm_layer, *study.dln_scan.norm_layer, *(cell.norm_layer for cell in lottery)]
    parts |= {_folder(name, "scale"): sources(name, "scale", REPOSITORY) for name in scales}
    source = study.data.source
    data = f"{PARTS}/data/{slug(source)}"
    parts[data] = sources(source, "data", root) if ":" in source else Source(("src/normlab/data/sources.py",))
    entries: dict[str, Any] = {
        "data_source": data,
        "runs": runs,
        "measured_runs": measured,
        "assumption_runs": _entries(study.compared(study.assumptions.norm_layer), parts),
        "reparametrization_runs": _entries(study.compared(study.reparametrization.norm_layer), parts),
        "dln_cells": {cell.name: _cell(cell) for cell in study.dln_grid.cells},
        "lottery_cells": {cell.name: _cell(cell, f" --seeds {n}") for cell, n in lottery.items()},
        "pages": list(study.report.notebooks),
    }
    return Expansion(entries, parts)


def write(expansion: Expansion, root: Path) -> list[str]:
    """Bring runs.yaml and parts/ below `root` up to date; what was changed, a line each."""
    changed = []
    path = root / RUNS
    if not path.is_file() or path.read_text(encoding="utf-8") != expansion.text:
        partial = path.with_suffix(".yaml.partial")
        partial.write_text(expansion.text, encoding="utf-8")
        os.replace(partial, path)
        count = len(expansion.entries["runs"]) + len(expansion.entries["measured_runs"])
        changed.append(f"{RUNS}: {count} runs")
    for name in _stale_parts(expansion, root):
        shutil.rmtree(root / name, ignore_errors=True)
        if name in expansion.parts:
            _link(expansion.parts[name], root / name, root)
        changed.append(name)
    return changed


def check(expansion: Expansion, root: Path) -> None:
    """Refuse a runs.yaml or parts/ that say something else.

    Raises:
        InputError: with what to do.
    """
    path = root / RUNS
    agrees = path.is_file() and path.read_text(encoding="utf-8") == expansion.text
    stale = [RUNS] * (not agrees) + _stale_parts(expansion, root)
    if stale:
        raise InputError(
            f"{', '.join(stale)}: not what params.yaml says now; run `make repro`, or `python -m "
            "normlab.stages.expand` and then `dvc repro`"
        )


def _parts_of(run: RunSpec) -> tuple[tuple[str, Kind], tuple[str, Kind]]:
    return (run.network, "network"), (run.norm_layer, "normalizer")


def _folder(name: str, kind: Kind) -> str:
    return f"{PARTS}/{kind}/{slug(name) if ':' in name else resolve(name, kind).attribute}"


def _entries(runs: Iterable[RunSpec], parts: dict[str, Source]) -> dict[str, dict[str, str]]:
    return {run.name: _entry(run, parts) for run in runs}


def _entry(run: RunSpec, parts: dict[str, Source]) -> dict[str, str]:
    """The arguments that make a run, those that read it, and the folders of its network and normalizer.

    None is empty: DVC cannot tell whether a command has one space or two where it wraps the line.
    """
    folders: dict[str, str] = {kind: _folder(name, kind) for name, kind in _parts_of(run)}
    packages = dict.fromkeys(parts[folder].requirement for folder in folders.values())
    required = "".join(f" --package {package}" for package in packages if package)
    point = f"--network {run.network} --norm-layer {run.norm_layer} --learning-rate {run.learning_rate}"
    point += f" --seed {run.seed}" + (f" --variant {run.variant}" if run.variant else "")
    return {"train": point + required, "read": f"--run models/runs/{run.name}{required}", **folders}


def _cell(cell: DlnCell, further: str = "") -> dict[str, str]:
    """The arguments that make a deep linear cell, and the folder of its normalizer's closed form."""
    return {"train": cell.arguments + further, "scale": _folder(cell.norm_layer, "scale")}


def _stale_parts(expansion: Expansion, root: Path) -> list[str]:
    """The folders that are missing, hold something else, or belong to no part."""
    present = [folder.relative_to(root).as_posix() for folder in root.glob(f"{PARTS}/*/*") if folder.is_dir()]
    return sorted({*present, *expansion.parts} - {name for name in present if _holds(expansion, name, root / name)})


def _holds(expansion: Expansion, name: str, folder: Path) -> bool:
    source = expansion.parts.get(name)
    if source is None:
        return False
    entries = {entry.name: entry for entry in folder.iterdir()}
    if source.requirement:
        return list(entries) == [REQUIREMENT] and entries[REQUIREMENT].read_text().split() == [source.requirement]
    return set(entries) == set(map(link_name, source.files)) and all(path.is_file() for path in entries.values())


def _link(source: Source, folder: Path, root: Path) -> None:
    folder.mkdir(parents=True)
    if source.requirement:
        (folder / REQUIREMENT).write_text(f"{source.requirement}\n", encoding="utf-8")
    for file in source.files:
        (folder / link_name(file)).symlink_to(os.path.relpath(root / file, folder))


def link_name(file: str) -> str:
    """What the link to a file is called in a part's folder."""
    return file.replace("/", ".")
