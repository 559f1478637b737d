"""Program `budget`: as many runs of a preset as a machine's time allows, in a few files that `make record` takes in."""

import argparse
import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path

from normlab.data.sources import prepare
from normlab.records.provenance import MACHINE_FILE, here
from normlab.runs.cost import predict_cost
from normlab.runs.networks import resolve_device
from normlab.runs.prepared import PreparedRun
from normlab.specs.data import DataSpec
from normlab.specs.grid import planned_runs
from normlab.specs.probe import ProbeSpec
from normlab.specs.strict import InputError, load_params, load_section, require
from normlab.stages import command
from normlab.studies.budget import by_value, spend
from normlab.tables.budget import write_budget


def main(argv: list[str] | None = None) -> None:
    """Prepare the images, train and probe runs in the order of their value, stop in time, and keep what is finished.

    Needs neither DVC nor MLflow. Writes `measurements*.parquet`, `histograms.parquet`, `runs.json`, `params.yaml`,
    `manifest.json` (of the images) and `machine.json` (versions, processor, commit); the machine has the images in an
    archive (NORMLAB_DATA) or downloads them.
    """
    start = time.time()
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--preset", type=Path, default=Path("paper-gpu"), help="a name in presets/, or a file")
    parser.add_argument("--minutes", type=float, required=True, help="from now to the end of writing")
    parser.add_argument("--side-by-side", type=int, default=1, help="runs at once: a GPU has room for several")
    parser.add_argument("--at-most", type=int, default=None, help="so many runs, those of most value")
    parser.add_argument("--commit", default="", help="of the code, where it lies without its Git history")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    require(args.minutes > 0, "--minutes", "must be above 0", args.minutes)
    for name in ("side_by_side", "at_most"):
        count = getattr(args, name)
        require(count is None or count >= 1, f"--{name.replace('_', '-')}", "must be at least 1", count)
    params = args.preset if args.preset.suffix == ".yaml" else Path("presets") / f"{args.preset}.yaml"
    data, probe = load_section(params, "data", DataSpec), load_section(params, "probe", ProbeSpec)
    runs = by_value(planned_runs(load_params(params)))[: args.at_most]
    with command.new_folder(args.out) as folder, command.temporary_folder("normlab-budget-") as work:
        (work / "data").mkdir()
        prepare(data, work / "data", downloads=Path("scratch/downloads"))
        left = 0.95 * 60 * args.minutes - (time.time() - start)  # the rest is for writing
        outcomes = spend(runs, probe, work / "data", work, left, predict_seconds, args.side_by_side)
        finished = [outcome.run for outcome in outcomes if outcome.seconds is not None]
        failed = [f"{outcome.run.name}: {outcome.error}" for outcome in outcomes if outcome.error]
        if not finished:
            raise InputError(f"no run of {params} was finished in {args.minutes:g} minutes{_first(failed)}")
        no_room = [run.name for run in write_budget(folder, finished, work)]
        shutil.copyfile(params, folder / "params.yaml")
        shutil.copyfile(work / "data/manifest.json", folder / "manifest.json")
        ended = [{**dataclasses.asdict(outcome), "run": outcome.run.name} for outcome in outcomes]
        (folder / "runs.json").write_text(json.dumps(ended, indent=2) + "\n")
        machine = here(Path(), str(resolve_device(runs[0].train.device)), commit=args.commit)
        (folder / MACHINE_FILE).write_text(json.dumps(machine, indent=2) + "\n")
    minutes = (time.time() - start) / 60
    print(f"{len(finished)} of {len(runs)} runs in {minutes:.1f} minutes: {args.out}{_first(failed)}")
    if no_room:
        print(f"note: left out, because four files of 16 MB do not hold them: {', '.join(no_room)}", file=sys.stderr)


def predict_seconds(run: PreparedRun) -> float:
    """What the updates of a run will take, from 200 of them."""
    return predict_cost(run.spec, run.batches, run.device, run.kept, min(200, run.spec.train.steps)).seconds


def _first(failed: list[str]) -> str:
    return f"; {len(failed)} failed, first {failed[0]}" if failed else ""


if __name__ == "__main__":
    command.run(main)
