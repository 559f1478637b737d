"""`make rerun`: does a clean clone still say what is committed? Not a DVC stage: it runs DVC."""

import argparse
import datetime
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from normlab.pages.records import FOLDER, Record
from normlab.records.repeat import repeat_run
from normlab.rerun import Difference, canary_of, clone_head, compare, compare_metrics, load_tolerances, repeat, summary
from normlab.specs.strict import InputError, load_params
from normlab.stages import command


def main(argv: list[str] | None = None) -> None:
    """Reproduce HEAD in a clean clone, repeat one run by force, and exit 1 if metrics or verdicts differ.

    With --record and --run: retrain that run of a published record under its own settings, outside of the pipeline, and
    exit 1 if it differs from the record's tables by more than `record_tolerances.yaml` allows.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument(
        "--canary", default=os.environ.get("CANARY", ""), help="the run to repeat; default: this week's"
    )
    parser.add_argument(
        "--clone", default=os.environ.get("CLONE", ""), help="where to clone to; default: a temporary folder"
    )
    parser.add_argument("--record", default=os.environ.get("RECORD", ""), help="a record in reports/published")
    parser.add_argument("--run", default=os.environ.get("RUN", ""), help="a run of it, such as vgg16-batch-0.1-0")
    args = parser.parse_args(argv)
    root = args.root.resolve()
    if args.record or args.run:
        _finish(*_repeat_of_record(root, args.record, args.run))
        return
    week = datetime.date.today().isocalendar().week
    with tempfile.TemporaryDirectory(prefix="normlab-rerun-") as temporary:
        clone = Path(args.clone).resolve() if args.clone else Path(temporary) / "clone"
        clone_head(root, clone)
        canary = canary_of(load_params(clone / "params.yaml"), week, args.canary)
        identical = repeat(clone, canary)
        metrics, verdicts = compare(root, clone)
    _finish(summary(canary.spec.name, identical, metrics, verdicts), [*metrics, *verdicts])


def _repeat_of_record(root: Path, record: str, run: str) -> tuple[str, list[Difference]]:
    if not record or not run:
        raise InputError("RECORD and RUN: expected both, such as RECORD=paper-cpu RUN=vgg16-batch-0.1-0")
    with tempfile.TemporaryDirectory(prefix="normlab-rerun-") as temporary:
        repeated = repeat_run(Record(root / FOLDER / record), run, Path(temporary))
    found = compare_metrics(repeated.committed, repeated.now, load_tolerances("record_tolerances.yaml"))
    return summary(run, repeated.identical, found, []), found


def _finish(text: str, found: Sequence[Difference]) -> None:
    print(text)
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(page, "a", encoding="utf-8") as stream:
            stream.write(text)
    if any(change.allowed is None for change in found):
        raise SystemExit(1)


if __name__ == "__main__":
    command.run(main)
