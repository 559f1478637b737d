"""Program `readme`: write the README's table of results, or check that it is the one the results give."""

import argparse
from pathlib import Path

from normlab.pages.readme import claims_record, put_table, results_table
from normlab.specs.strict import InputError
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Put the table of results into README.md; with --check, only compare, and fail if it is stale."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path("."), help="the folder with README.md and reports/")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    path = args.root / "README.md"
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    present = path.read_text(encoding="utf-8")
    wanted = put_table(present, results_table(claims_record(args.root), args.root))
    if args.check and wanted != present:
        raise InputError(f"{path}: the table of results is stale; run `python -m normlab.stages.readme`")
    if not args.check:
        path.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
