"""Show the stage outputs in MLflow. Not a DVC stage: it changes no file that any stage reads."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from normlab.stages import command
from normlab.tracking.collected import STUDIES, TrackedRun, collect
from normlab.tracking.store import publish

if TYPE_CHECKING:
    import pandas as pd


def draw(table: Path, run: TrackedRun, folder: Path) -> None:
    """The picture of a training run, from the measurements table if it is there; other studies' runs have none."""
    if run.study in STUDIES or not table.exists():
        return
    from normlab.figures.run import run_figure

    figure = run_figure(_rows(table, run))
    figure.savefig(folder / "run.png", dpi=100)


def _rows(table: Path, run: TrackedRun) -> "pd.DataFrame":
    import pandas as pd

    from normlab.tables.rows import KEYS  # it needs torch, and a second publishing needs neither

    keys = [(key, "==", run.params.get(key, "")) for key in KEYS if key != "study"]
    return pd.read_parquet(table, filters=[("study", "==", run.study), ("batch", "==", 0), *keys])


def main(argv: list[str] | None = None) -> None:
    """Make the MLflow store show the runs whose outputs exist; a second time it has nothing to do."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    args = parser.parse_args(argv)
    runs = collect(args.root)
    try:
        done = publish(runs, args.root, partial(draw, args.root / "reports/tables/measurements.parquet"))
    except Exception as error:  # whatever a tracker may raise: the numbers are in the files
        print(
            f"publish: the tracker failed, the results are in the files: {' '.join(str(error).split())[:300]}",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    redrawn = f", {done.redrawn} had lost their pictures and got them again" if done.redrawn else ""
    print(
        f"MLflow: {len(runs)} runs, {done.added} written, {done.restored} brought back, {done.removed} no longer true "
        f"and removed, {done.kept} as they were{redrawn}"
    )


if __name__ == "__main__":
    command.run(main)
