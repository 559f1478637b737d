"""Show the stage outputs in MLflow. Not a DVC stage: it changes no file that any stage reads."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from normlab.stages import command
from normlab.tracking.collected import collect
from normlab.tracking.publishing import prune, publish
from normlab.tracking.tracked import STUDIES, TrackedRun

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
    """Make the MLflow store show the runs whose outputs exist as current; a second time it has nothing to do."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument("--prune", action="store_true", help="then move what is not current to MLflow's deleted runs")
    args = parser.parse_args(argv)
    runs = collect(args.root)
    try:
        done = publish(runs, args.root, partial(draw, args.root / "reports/tables/measurements.parquet"))
        pruned = prune(args.root) if args.prune else 0
    except Exception as error:  # whatever a tracker may raise: the numbers are in the files
        print(
            f"publish: the tracker failed, the results are in the files: {' '.join(str(error).split())[:300]}",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    parts = {
        "written": done.added,
        "brought back": done.restored,
        "now history (tag current: false)": done.retired,
        "replaced": done.removed,
        "as before": done.kept,
        "with new pictures and files": done.redrawn,
        "moved to MLflow's deleted runs, from where its pages restore them": pruned,
    }
    said = [f"{number} {what}" for what, number in parts.items() if number]
    print(f"MLflow: {', '.join([f'{len(runs)} runs', *said])}")


if __name__ == "__main__":
    command.run(main)
