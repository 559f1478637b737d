"""Program `expand`: write what DVC iterates over. `make repro` begins with it; not a DVC stage."""

import argparse
import sys
from pathlib import Path

from normlab.scheduling.repeats import repeated_trainings
from normlab.specs.expansion import expand, write
from normlab.specs.study import read_study
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Bring `runs.yaml` and `parts/` up to date with `params.yaml`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    args = parser.parse_args(argv)
    for line in write(expand(read_study(args.root / "params.yaml"), args.root), args.root):
        print(f"written: {line}")
    for line in repeated_trainings(args.root):
        print(f"note: {line}", file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
