"""A record on disk, `reports/published/<record>/`: what is in it, and how finished work is added.

| file | what |
|---|---|
| `frozen.json` | digests of rules and analysis code, stored before the first run (`record NAME --freeze`) |
| `params.yaml` | the parameter file, as it stood where the runs were made |
| `data.json` | the manifest of the prepared images, with their digest and the positions of those held out |
| `manifest.json` | planned, finished and missing work; of each piece its source, seconds, size and digest |
| `runs/<run>/`, `dln/<cell>/`, `dln_scan/`, `reparametrization/<run>/`, `statements/…/` | its tables (`files.py`) |
| `settings.json`, `claims.json`, `metrics.json`, `README.md`, `figures/` | rendered from these |
"""

import filecmp
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from normlab.pages.records import Record
from normlab.records.files import same_table, write_histograms, write_measurements, write_theory
from normlab.records.finished import BUDGET_FILE, Finished, finished_work, planned_work
from normlab.records.provenance import core_hours, origin_of
from normlab.specs.strict import InputError, load_params
from normlab.specs.study import StudySpec, read_study

LARGEST_RUN, LARGEST_FILE, LARGEST_RECORD = 600_000, 2_000_000, 40_000_000  # bytes
PARAMS, DATA, MANIFEST, FROZEN = "params.yaml", "data.json", "manifest.json", "frozen.json"
STAGED = ".adding-"
WRITERS = {"measurements": write_measurements, "histograms": write_histograms, "theory": write_theory}
SHARED = ("data", "train", "probe", "dln", "dln_scan", "theory", "assumptions", "reparametrization")
"""Sections in which later additions agree with the first: the numbers depend on them."""


def check_kept(record: Record) -> None:
    """Whether the record holds what its manifest lists, so that no result is left out without a word.

    Raises:
        InputError: files of a piece of work are missing, or are not those that were added.
    """
    for place, about in record.manifest["finished"].items():
        folder = record.folder / place
        if not folder.is_dir() or _digest(folder) != about["sha256"]:
            raise InputError(
                f"{folder}: not the files that {MANIFEST} lists for it: some were changed, added or deleted; take them "
                f"from Git again (git checkout -- {record.folder}), and remove others"
            )


def stored(record: Record, table: str) -> list[Path]:
    """The files `<table>.parquet` of all finished work, in the order of the manifest."""
    paths = [record.folder / place / f"{table}.parquet" for place in record.manifest["finished"]]
    return [path for path in paths if path.is_file()]


def add(record: Record, source: Path, *, processor_name: str = "") -> list[str]:
    """Take in what is finished in `source`: a clone, or a folder of the program `budget`.

    Nothing that a record holds is ever written again: work that is there already has to be the same, bit for bit.

    Args:
        record: the record; made where there is none.
        source: the folder.
        processor_name: what the runs were made on; by default what the program `budget` says, or this machine's.

    Returns:
        The places that are new.

    Raises:
        InputError: other settings, data or numbers than the record has; a file or the record would be too large.
    """
    study = read_study(source / PARAMS)
    budget = (source / BUDGET_FILE).is_file()
    data = source / ("manifest.json" if budget else "data/prepared/manifest.json")
    if not data.is_file():
        raise InputError(f"{data}: no such file; expected a clone with prepared images, or a folder of `budget`")
    _check_settings(record, source / PARAMS, data)
    origin = origin_of(source, processor_name)
    record.folder.mkdir(parents=True, exist_ok=True)
    for left in record.folder.glob(f"{STAGED}*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    staged = record.folder / f"{STAGED}{os.getpid()}"
    staged.mkdir()
    try:
        made = {work.place: _stage(work, staged) for work in finished_work(study, source)}
        new = [place for place in made if not _is_there(record, place, staged)]
        _check_size(record, staged, new)
        manifest = _extended(record.manifest, study, {place: made[place] for place in new}, origin)
        for file, to in ((source / PARAMS, PARAMS), (data, DATA)):
            shutil.copyfile(file, staged / to)
        _write_json(manifest, staged / MANIFEST)
        for place in new:
            (record.folder / place).parent.mkdir(parents=True, exist_ok=True)
            if (record.folder / place).exists():  # in no manifest: left by a process that was killed
                shutil.rmtree(record.folder / place)
            os.replace(staged / place, record.folder / place)
        for name in (PARAMS, DATA, MANIFEST):  # the manifest last: it is what says that the others are there
            os.replace(staged / name, record.folder / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return new


def _check_settings(record: Record, params: Path, data: Path) -> None:
    if not record.manifest["finished"]:
        return
    ours, theirs = load_params(record.folder / PARAMS), load_params(params)
    for section in SHARED:
        if ours.get(section) != theirs.get(section):
            raise InputError(
                f"{params}: section {section} is not that of the record {record.name}: a record of its own"
            )
    if not filecmp.cmp(record.folder / DATA, data, shallow=False):
        raise InputError(f"{data}: other images than those of the record {record.name}")


def _stage(work: Finished, staged: Path) -> dict[str, Any]:
    """Write the tables of finished work; what the manifest says of it."""
    folder = staged / work.place
    for name, table in work.tables.items():
        WRITERS[name](table, folder / f"{name}.parquet")
    size, limit = _size(folder), LARGEST_RUN if work.place.startswith("runs/") else len(work.tables) * LARGEST_FILE
    largest = max((path.stat().st_size for path in folder.iterdir()), default=0)
    if size > limit or largest > LARGEST_FILE:
        raise InputError(f"{work.place}: {size:,} bytes, a file of {largest:,}; at most {limit:,} and {LARGEST_FILE:,}")
    return {**work.about, "bytes": size, "sha256": _digest(folder)}


def _is_there(record: Record, place: str, staged: Path) -> bool:
    """Whether the record has this work; refused if it has other numbers."""
    if place not in record.manifest["finished"]:
        return False
    kept, found = record.folder / place, staged / place
    names = sorted({path.name for folder in (kept, found) for path in folder.glob("*.parquet")})
    for name in names:
        both = (kept / name).is_file() and (found / name).is_file()
        if not both or not same_table(kept / name, found / name):
            raise InputError(f"{kept / name}: the record has other numbers of {place}; a record is never rewritten")
    return True


def _check_size(record: Record, staged: Path, new: Iterable[str]) -> None:
    size = _size(record.folder) - _size(staged) + sum(_size(staged / place) for place in new)
    if size > LARGEST_RECORD:
        raise InputError(f"{record.folder}: {size:,} bytes with what is new; at most {LARGEST_RECORD:,}")


def _extended(
    manifest: dict[str, Any], study: StudySpec, new: dict[str, dict[str, Any]], origin: dict[str, Any]
) -> dict[str, Any]:
    sources = list(manifest["sources"])
    if new and origin not in sources:
        sources.append(origin)
    finished = {**manifest["finished"], **{p: {**about, "source": sources.index(origin)} for p, about in new.items()}}
    planned = [work.place for work in planned_work(study)]
    if strays := [place for place in finished if place not in planned]:
        raise InputError(f"params.yaml: no longer names {', '.join(strays)}, which the record has")
    return {
        "record": manifest["record"],
        "sources": sources,
        "planned": len(planned),
        "core_hours": core_hours(about.get("seconds") for about in finished.values()),
        "finished": {place: finished[place] for place in planned if place in finished},
        "missing": [place for place in planned if place not in finished],
    }


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write_json(content: Any, path: Path) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
