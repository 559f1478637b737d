"""Stage `analyze`: the outputs of all studies as tidy tables, metrics, and verdicts on the claims."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from normlab.analysis.cells import Cells
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.metrics import all_metrics
from normlab.analysis.paper_cells import paper_numbers
from normlab.analysis.rules import load_claims
from normlab.analysis.verdicts import judge_all
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import load_section
from normlab.stages import command
from normlab.tables.assemble import Sources, assemble
from normlab.tables.frames import write_table
from normlab.tables.overview import summary, write_curves


def main(argv: list[str] | None = None) -> None:
    """Read the studies of `analyze.studies` and write the tables, metrics, verdicts, and what DVC shows of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--root", type=Path, default=Path("."), help="the folder with models/ and data/")
    parser.add_argument("--out", type=Path, default=Path("reports"))
    args = parser.parse_args(argv)
    spec = load_section(args.params, "analyze", AnalyzeSpec)
    claims = load_claims()
    tables = assemble(spec, args.params, Sources(args.root))
    for note in tables.notes:
        print(note, file=sys.stderr)
    cells = Cells(tables.measurements, tables.theory, spec)
    judged = judge_all(claims, FUNCTIONS, cells, partial(paper_numbers, spec=spec))
    metrics = all_metrics(cells, judged)
    write_table(tables.measurements, args.out / "tables" / "measurements.parquet")
    write_table(tables.histograms, args.out / "tables" / "histograms.parquet")
    write_table(tables.theory, args.out / "tables" / "theory.parquet")
    _write_json(judged, args.out / "claims.json")
    _write_json(metrics, args.out / "metrics.json")
    _write_json(summary(metrics, spec), args.out / "summary.json")
    write_curves(tables.measurements, spec, args.out / "plots")


def _write_json(content: Any, path: Path) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
