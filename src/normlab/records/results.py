"""From a record's tables to its numbers: what the stage `analyze` gives in a clone, from what is finished so far."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.changes import frozen
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.metrics import all_metrics
from normlab.analysis.paper_cells import paper_numbers
from normlab.analysis.rules import load_claims
from normlab.analysis.verdicts import judge_all
from normlab.pages.records import Record
from normlab.records.files import read_histograms, read_measurements
from normlab.records.record import DATA, MANIFEST, PARAMS, check_kept, stored
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.grid import planned_runs
from normlab.specs.strict import load_params, load_section
from normlab.tables.assemble import Tables, let_other_lengths_take_part
from normlab.tables.frames import HISTOGRAM_COLUMNS, as_categories, combine, read_parquet, write_table


def record_tables(record: Record) -> Tables:
    """The three tables of the analysis, of all finished work; work that is missing has no rows.

    Raises:
        InputError: a file is damaged, or files are not those that the manifest lists.
    """
    check_kept(record)
    measurements = combine([read_measurements(path) for path in stored(record, "measurements")])
    histograms = combine([read_histograms(path) for path in stored(record, "histograms")], HISTOGRAM_COLUMNS)
    theory = [read_parquet(path) for path in stored(record, "theory")]
    runs = [planned.spec for planned in planned_runs(load_params(record.params))]
    spec = load_section(record.params, "analyze", AnalyzeSpec)
    let_other_lengths_take_part((measurements, histograms), runs, spec)
    return Tables(measurements, histograms, pd.concat(theory, ignore_index=True) if theory else pd.DataFrame(), ())


def score(tables: Tables, params: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Verdicts and metrics, as `claims.json` and `metrics.json` hold them; `params` is the parameter file."""
    spec = load_section(params, "analyze", AnalyzeSpec)
    cells = Cells(tables.measurements, tables.theory, spec)
    judged = judge_all(load_claims(), FUNCTIONS, cells, partial(paper_numbers, spec=spec))
    return judged, all_metrics(cells, judged)


def run_metrics(measurements: pd.DataFrame, params: Path) -> dict[str, Any]:
    """The metrics of the runs in a table, cell by cell; `params` is the parameter file."""
    spec = load_section(params, "analyze", AnalyzeSpec)
    return {"cells": all_metrics(Cells(as_categories(measurements), pd.DataFrame(), spec), [])["cells"]}


def settings(record: Record) -> dict[str, Any]:
    """The parameter file, what pages say of the images, and the digests of the rules of now: for `settings.json`."""
    data = json.loads((record.folder / DATA).read_text(encoding="utf-8"))
    shown = {key: data[key] for key in ("title", "source", "official", "counts", "digest") if key in data}
    return {**load_params(record.params), "data": shown, "frozen": frozen(load_claims())}


def unpack(record: Record, folder: Path, tables: Tables | None = None) -> Record:
    """What pages and notebooks read of a record, in `folder`: its tables as three files, verdicts, metrics, settings.

    Nothing is trained, and nothing is scored anew where the record was rendered before. `tables`: those that
    `record_tables` gave, where the caller has read them already.

    Returns:
        The record as it is in `folder`; `Results.load(**unpacked.paths)` opens it.
    """
    tables = record_tables(record) if tables is None else tables
    for name in ("measurements", "histograms", "theory"):
        write_table(getattr(tables, name), folder / "tables" / f"{name}.parquet")
    if (record.folder / "claims.json").is_file():
        for name in ("claims.json", "metrics.json", "settings.json"):
            shutil.copyfile(record.folder / name, folder / name)
        for path in record.folder.glob("figures/*.md"):  # what its own studies say
            (folder / "figures").mkdir(exist_ok=True)
            shutil.copyfile(path, folder / "figures" / path.name)
    else:
        claims, metrics = score(tables, record.params)
        for content, name in ((claims, "claims"), (metrics, "metrics"), (settings(record), "settings")):
            write_json(content, folder / f"{name}.json")
    for name in (MANIFEST, PARAMS):  # pages say what is finished and what is not
        shutil.copyfile(record.folder / name, folder / name)
    return Record(folder)


def write_json(content: Any, path: Path) -> None:
    """Write JSON as all files of a record have it: two spaces, no NaN."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
