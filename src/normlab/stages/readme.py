"""Program `readme`: write the README's generated tables and the records' pages, or check that they are up to date."""

import argparse
from pathlib import Path

from normlab.pages.readme import generated_files
from normlab.specs.strict import InputError
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Write README.md and reports/published/*/README.md; with --check, only compare, and fail if one is stale."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path("."), help="the folder with README.md and reports/")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    path = args.root / "README.md"
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    for written, wanted in generated_files(args.root).items():
        if not args.check:
            written.write_text(wanted, encoding="utf-8")
        elif not written.is_file() or written.read_text(encoding="utf-8") != wanted:
            raise InputError(f"{written}: generated, and stale; run `python -m normlab.stages.readme`")


if __name__ == "__main__":
    command.run(main)
