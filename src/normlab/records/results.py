"""From a record's tables to its numbers: what the stage `analyze` gives in a clone, from what is finished so far."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.analysis.cells import Cells
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.metrics import all_metrics
from normlab.analysis.paper_cells import paper_numbers
from normlab.analysis.rules import load_claims
from normlab.analysis.verdicts import judge_all
from normlab.pages.results import Results
from normlab.records.files import read_histograms, read_measurements
from normlab.records.record import DATA, PARAMS, Record
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import load_section
from normlab.tables.assemble import Tables
from normlab.tables.frames import HISTOGRAM_COLUMNS, combine, read_parquet, write_table


def record_tables(record: Record) -> Tables:
    """The three tables of the analysis, of all finished work; work that is missing has no rows.

    Raises:
        InputError: nothing was added yet, or a file is damaged.
    """
    measurements = [read_measurements(path) for path in record.tables("measurements")]
    histograms = [read_histograms(path) for path in record.tables("histograms")]
    theory = [read_parquet(path) for path in record.tables("theory")]
    return Tables(
        combine(measurements),
        combine(histograms, HISTOGRAM_COLUMNS),
        pd.concat(theory, ignore_index=True) if theory else pd.DataFrame(),
        (),
    )


def score(tables: Tables, params: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Verdicts and metrics, as `claims.json` and `metrics.json` hold them; `params` is the parameter file."""
    spec = load_section(params, "analyze", AnalyzeSpec)
    cells = Cells(tables.measurements, tables.theory, spec)
    judged = judge_all(load_claims(), FUNCTIONS, cells, partial(paper_numbers, spec=spec))
    return judged, all_metrics(cells, judged)


def unpack(record: Record, folder: Path) -> Results:
    """What pages and notebooks read, written into `folder` from the record's tables: no training, no pipeline.

    `folder` gets `tables/*.parquet`, `claims.json`, `metrics.json`, `params.yaml` and `manifest.json` (of the images).
    """
    tables = record_tables(record)
    shutil.copyfile(record.folder / PARAMS, folder / PARAMS)
    shutil.copyfile(record.folder / DATA, folder / "manifest.json")
    claims, metrics = score(tables, folder / PARAMS)
    for name in ("measurements", "histograms", "theory"):
        write_table(getattr(tables, name), folder / "tables" / f"{name}.parquet")
    write_json(claims, folder / "claims.json")
    write_json(metrics, folder / "metrics.json")
    return Results.load(
        *map(str, (folder / "tables", folder / "claims.json", folder / PARAMS, folder / "manifest.json"))
    )


def write_json(content: Any, path: Path) -> None:
    """Write JSON as all files of a record have it: two spaces, no NaN."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
