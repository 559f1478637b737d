"""Program `mend`: `make repro` begins with it, so that a killed DVC can start again. Not a DVC stage."""

import argparse
import sys
from pathlib import Path

from normlab.scheduling.dvc_files import mend
from normlab.specs.strict import InputError
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Put right what a kill left of DVC's own files, so that `dvc repro` can start."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    args = parser.parse_args(argv)
    if not (args.root / ".dvc").is_dir():
        raise InputError(f"{args.root.resolve()}: expected the root of a repository with DVC; there is no .dvc in it")
    for line in mend(args.root):
        print(f"note: {line}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
