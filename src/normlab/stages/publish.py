"""Show the stage outputs in MLflow. Not a DVC stage: it changes no file that any stage reads."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normlab.stages import command
from normlab.tracking.collected import collect
from normlab.tracking.publishing import prune, publish
from normlab.tracking.tracked import STUDIES, TrackedRun

if TYPE_CHECKING:
    import pandas as pd


class Pictures:
    """The pictures of training runs, from the measurements table, which is read once, when the first is drawn.

    Read anew for each of them, it would make publishing N runs take a time that grows as N².

    Args:
        table: the file; if there is none, there are no pictures.
    """

    def __init__(self, table: Path) -> None:
        self._table = table

    def __call__(self, run: TrackedRun, folder: Path) -> None:
        """Draw the picture of a run into `folder`; other studies' runs have none."""
        if run.study in STUDIES or not self._table.exists():
            return
        from normlab.figures.run import run_figure
        from normlab.tables.rows import KEYS  # it needs torch, and a second publishing needs neither

        frame, places = self._measured
        keys = {**run.params, "study": run.study}
        figure = run_figure(frame.iloc[places.get(tuple(keys.get(key, "") for key in KEYS), [])])
        figure.savefig(folder / "run.png", dpi=100)

    @cached_property
    def _measured(self) -> "tuple[pd.DataFrame, Mapping[Any, Sequence[int]]]":
        """The rows on the batches that training saw, and by the values of `KEYS` where those of a run stand."""
        import pandas as pd

        from normlab.tables.frames import as_categories
        from normlab.tables.rows import KEYS

        frame = as_categories(pd.read_parquet(self._table, filters=[("batch", "==", 0)]))
        return frame, frame.groupby(list(KEYS), observed=True).indices


def main(argv: list[str] | None = None) -> None:
    """Make the MLflow store show the runs whose outputs exist as current; a second time it has nothing to do."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument("--prune", action="store_true", help="then move what is not current to MLflow's deleted runs")
    args = parser.parse_args(argv)
    runs = collect(args.root)
    try:
        done = publish(runs, args.root, Pictures(args.root / "reports/tables/measurements.parquet"))
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
