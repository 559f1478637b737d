"""Show the stage outputs in MLflow. Not a DVC stage: it changes no file that any stage reads."""

import argparse
import sys
from pathlib import Path

from normlab.stages import command
from normlab.tracked_runs import collect
from normlab.tracking import publish


def main(argv: list[str] | None = None) -> None:
    """Make the MLflow store show the runs whose outputs exist; a second time it has nothing to do."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    args = parser.parse_args(argv)
    runs = collect(args.root)
    try:
        done = publish(runs, args.root)
    except Exception as error:  # whatever a tracker may raise: the numbers are in the files
        print(
            f"publish: the tracker failed, the results are in the files: {' '.join(str(error).split())[:300]}",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    print(
        f"MLflow: {len(runs)} runs, {done.added} written, {done.restored} brought back, {done.removed} no longer true "
        f"and removed, {done.kept} as they were"
    )


if __name__ == "__main__":
    command.run(main)
