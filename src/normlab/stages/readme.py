"""Program `readme`: write the README's generated tables, or check that they are what code and results give."""

import argparse
from pathlib import Path

from normlab.pages.readme import generated
from normlab.specs.strict import InputError
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Put the tables into README.md; with --check, only compare, and fail if one is stale."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path("."), help="the folder with README.md and reports/")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    path = args.root / "README.md"
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    present = path.read_text(encoding="utf-8")
    wanted = generated(present, args.root)
    if args.check and wanted != present:
        raise InputError(f"{path}: a generated table is stale; run `python -m normlab.stages.readme`")
    if not args.check:
        path.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
