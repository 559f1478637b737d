"""Program `record`: keep finished runs in Git as a record, and render a record from its tables."""

import argparse
import json
import os
import re
from pathlib import Path

from normlab.analysis.changes import frozen
from normlab.analysis.rules import load_claims
from normlab.pages.records import FOLDER, Record
from normlab.records.record import FROZEN, add
from normlab.records.render import render
from normlab.specs.strict import InputError
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Add what is finished in a folder to reports/published/NAME/, and render its README and figures from its tables.

    A record may be incomplete, and is never rewritten: work that it has already must come with the same numbers. With
    `--freeze` only `frozen.json` is written: the digests of the rules and of the analysis code, stored before a
    record's first run, so that a reader sees whether they were changed after results were known.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "name", nargs="?", default=os.environ.get("RECORD", ""), help="of the record, such as paper-cpu"
    )
    parser.add_argument("--root", type=Path, default=Path("."), help="the repository")
    parser.add_argument("--add", default=os.environ.get("ADD", ""), help="a clone, or a folder of the program budget")
    parser.add_argument("--processor", default="", help="what the added runs were made on; default: this processor")
    parser.add_argument("--freeze", action="store_true", help="before the first run: store the digests of the rules")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", args.name):
        raise InputError(f"name: expected lower-case letters, digits and hyphens, got {args.name!r}")
    record = Record(args.root / FOLDER / args.name)
    if args.freeze:
        _freeze(record.folder / FROZEN)
        return
    if args.add:
        new = add(record, Path(args.add), processor_name=args.processor)
        print(f"{record.folder}: {len(new)} pieces of work are new, {len(record.manifest['missing'])} are missing")
    render(record)


def _freeze(path: Path) -> None:
    if path.exists():
        raise InputError(f"{path}: is there already; what was frozen before the first run is never written again")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(frozen(load_claims()), indent=2) + "\n")
    partial.replace(path)


if __name__ == "__main__":
    command.run(main)
