"""What is finished in a folder: in a clone that the pipeline ran in, or among the files of the budget program."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.records.provenance import seconds_of
from normlab.specs.dln import DlnCell
from normlab.specs.lottery import lottery_cells
from normlab.specs.strict import InputError
from normlab.specs.study import StudySpec
from normlab.specs.training import RunSpec
from normlab.tables.assemble import Sources
from normlab.tables.frames import EVERY, combine, load_histograms, load_measurements, select
from normlab.tables.rows import KEYS
from normlab.tables.stage_outputs import (
    read_assumptions,
    read_deep_linear_study,
    read_learning_rate_scan,
    read_lottery,
    read_random_statements,
    read_reparametrization_study,
    read_training_study,
)

BUDGET_FILE = "runs.json"
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Planned:
    """A piece of work that a parameter file asks for and that is finished as a whole or not at all.

    Attributes:
        place: its folder in a record: `runs/<run>`, `dln/<cell>`, `reparametrization/<run>`, `statements/<run>`, …
        files: what has to be there in the clone for it to be finished.
        read: its tables by name (`measurements`, `histograms`, `theory`), checked to be what the parameters say.
        run: the training, for places in `runs/`.
    """

    place: str
    files: tuple[Path, ...]
    read: Callable[[], Tables] = field(repr=False)
    run: RunSpec | None = None


@dataclass(frozen=True)
class Finished:
    """Finished work.

    Attributes:
        place: as of `Planned`.
        tables: its tables by name.
        about: for the manifest: `spec_digest` of a training, `seconds` where they are known.
    """

    place: str
    tables: Tables
    about: dict[str, Any]


def planned_work(study: StudySpec, root: Path = Path()) -> list[Planned]:
    """Everything that `analyze.studies` of a parameter file needs, in its order; `root` is the clone."""
    sources, studies = Sources(root), study.analyze.studies
    found: list[Planned] = []
    if "training" in studies:
        found += [_training(run, sources) for run in study.runs]
    if "dln" in studies:
        found += [_cell(cell, sources.study("dln")) for cell in study.dln_grid.cells]
    if "dln_scan" in studies:
        folder = sources.study("dln_scan")
        found.append(_measured("dln_scan", folder, partial(read_learning_rate_scan, folder)))
    if "dln_lottery" in studies:
        folder = sources.study("dln_lottery")
        found += [_lottery(cell, folder) for cell in lottery_cells(study.dln_lottery)]
    if "reparametrization" in studies:
        folder = sources.study("reparametrization")
        for run in study.compared(study.reparametrization.norm_layer):
            found.append(_measured(f"reparametrization/{run.name}", folder / run.name, _first_of(run, folder)))
    if "theory" in studies:
        random, checked = sources.study("theory"), sources.study("assumptions")
        files = (random / "random.parquet",)
        found.append(Planned("statements/random", files, partial(_random_statements, random)))
        for run in study.compared(study.assumptions.norm_layer):
            files = (checked / run.name / "checkpoints.parquet",)
            found.append(Planned(f"statements/{run.name}", files, _statements(run, checked)))
    return found


def finished_work(study: StudySpec, root: Path) -> Iterator[Finished]:
    """What of the planned work is finished in `root`, one piece at a time.

    Raises:
        InputError: a finished piece is damaged, or was made under other settings than those of the parameter file.
    """
    if (root / BUDGET_FILE).is_file():
        yield from _of_budget(study, root)
        return
    for planned in planned_work(study, root):
        if all(path.is_file() for path in planned.files):
            about: dict[str, Any] = {}
            if planned.run is not None:
                about = {"spec_digest": planned.run.digest, "seconds": seconds_of(root, planned.run.name)}
            yield Finished(planned.place, planned.read(), about)


def _of_budget(study: StudySpec, root: Path) -> Iterator[Finished]:
    try:
        ended = json.loads((root / BUDGET_FILE).read_text(encoding="utf-8"))
        seconds = {entry["run"]: entry["seconds"] for entry in ended if entry["seconds"] is not None}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{root / BUDGET_FILE}: not the list of runs of the program budget: {error!r}") from None
    measurements = combine([load_measurements(path) for path in sorted(root.glob("measurements*.parquet"))])
    histograms = load_histograms(root / "histograms.parquet")
    for run in study.runs:
        if run.name in seconds:
            keys = {key: run.keys[key] for key in KEYS}
            rows = {
                "measurements": select(measurements, **keys, batch=EVERY),
                "histograms": select(histograms, **keys),
            }
            if not len(rows["measurements"]):
                raise InputError(f"{root}: {BUDGET_FILE} names {run.name} as finished, and no table has a row of it")
            about = {"spec_digest": run.digest, "seconds": round(seconds[run.name], 1)}
            yield Finished(f"runs/{run.name}", rows, about)


def _training(run: RunSpec, sources: Sources) -> Planned:
    model, probes = sources.models / run.name, sources.probes / run.name
    files = (model / "summary.json", model / "history.parquet", probes / "probes.parquet")

    def read() -> Tables:
        measurements, histograms = read_training_study([run], sources.models, sources.probes)
        return {"measurements": combine(measurements), "histograms": pd.concat(histograms)}

    return Planned(f"runs/{run.name}", files, read, run)


def _cell(cell: DlnCell, folder: Path) -> Planned:
    def read() -> Tables:
        measurements, histograms = read_deep_linear_study([cell], folder)
        return {"measurements": combine(measurements), "histograms": pd.concat(histograms)}

    return Planned(f"dln/{cell.name}", (folder / cell.name / "measurements.parquet",), read)


def _lottery(cell: DlnCell, folder: Path) -> Planned:
    return _measured(f"dln_lottery/{cell.name}", folder / cell.name, lambda: read_lottery(cell, folder))


def _measured(place: str, folder: Path, read: Callable[[], pd.DataFrame]) -> Planned:
    return Planned(place, (folder / "measurements.parquet",), lambda: {"measurements": read()})


def _first_of(run: RunSpec, folder: Path) -> Callable[[], pd.DataFrame]:
    return lambda: read_reparametrization_study([run], folder)[0]


def _statements(run: RunSpec, folder: Path) -> Callable[[], Tables]:
    return lambda: {"theory": read_assumptions(run, folder)}


def _random_statements(folder: Path) -> Tables:
    return {"theory": read_random_statements(folder)}
