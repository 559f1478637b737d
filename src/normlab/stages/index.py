"""Stage `index`: the first page, which opens with the answer to the paper's question, or, of a check, with pictures."""

import argparse
from pathlib import Path

from normlab.pages.front import claims_front, front
from normlab.pages.record_runs import unfinished
from normlab.pages.records import Record, the_record
from normlab.pages.results import Results
from normlab.pages.script import write_script
from normlab.pages.shell import Shows, page, write_page
from normlab.specs.report import ReportSpec
from normlab.specs.strict import load_section
from normlab.stages import command


def of_record(record: Record) -> str:
    """The index page of a published record."""
    if record.tables:
        body = front(Results.load(**record.paths), record.pages, record.standings, unfinished(record), record.told)
    else:
        body = claims_front(record)
    return page("All claims", body, "index", record.shows)


def main(argv: list[str] | None = None) -> None:
    """Write index.html from the tables, the verdicts, the parameters and the manifest; beside it the script."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--tables", type=Path, default=Path("reports/tables"))
    parser.add_argument("--claims", type=Path, default=Path("reports/claims.json"))
    parser.add_argument("--manifest", type=Path, default=Path("data/prepared/manifest.json"))
    parser.add_argument("--record", type=Path, help="the folder of a published record, in the place of the four above")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.record:
        write_page(args.out, of_record(the_record(args.record)))
        return
    spec = load_section(args.params, "report", ReportSpec)
    results = Results.load(str(args.tables), str(args.claims), str(args.params), str(args.manifest))
    write_script(args.out.parent)
    shows = Shows(spec.preset, "Preset", pages=spec.notebooks)
    write_page(args.out, page("All claims", front(results, shows.pages), "index", shows))


if __name__ == "__main__":
    command.run(main)
