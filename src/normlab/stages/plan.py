"""Program `plan`: what a reproduction would run and what it would take. Not a DVC stage."""

import argparse
import hashlib
import shutil
from pathlib import Path

from normlab.runs.networks import resolve_device
from normlab.scheduling import plan
from normlab.scheduling.calibration import Calibration
from normlab.scheduling.jobs import cores
from normlab.scheduling.lock_reader import read_lock
from normlab.scheduling.stage_costs import StageCosts
from normlab.seeding import set_deterministic
from normlab.specs.expansion import AGREED, expand
from normlab.specs.strict import InputError
from normlab.specs.study import read_study
from normlab.stages import command
from normlab.studies.limits import check_limits


def main(argv: list[str] | None = None) -> None:
    """Show by study how many stages are there and how many would run, and their time, memory and disk.

    For any parameter file, also in a fresh clone; nothing is written but what was measured (`scratch/plan/`).
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, help="the parameter file (default: params.yaml of the root)")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument("--jobs", type=int, default=cores(), help="stages side by side (default: all cores)")
    args = parser.parse_args(argv)
    params = args.params or args.root / "params.yaml"
    study = read_study(params)
    check_limits(study, args.root)
    known = {"data/checked": hashlib.md5(AGREED.encode(), usedforsecurity=False).hexdigest()}
    lock = read_lock(args.root / "dvc.lock")
    judged = plan.judge_reproduction(args.root, params, expand(study, args.root), lock, known)
    device = resolve_device(study.train.device)
    set_deterministic(device)
    calibration = Calibration(args.root, device)
    entries = plan.price(judged, StageCosts(study, calibration), lock)
    calibration.save()
    print("\n".join([*plan.table(entries), "", *plan.reasons(entries)]))
    seconds, wall = sum(entry.cost.seconds for entry in entries), plan.side_by_side(entries, args.jobs)
    print(f"about {plan.duration(seconds)} one after the other, {plan.duration(wall)} with {args.jobs} side by side")
    times = plan.copies(args.root)
    needed, free = plan.needed_disk(entries, times), shutil.disk_usage(args.root).free
    where = "in the working tree and in DVC's cache" if times > 1 else "shared by the working tree and DVC's cache"
    print(f"disk: {plan.size(needed)} {where}, {plan.size(free)} free")
    if needed > free:
        raise InputError(f"the disk is too small: {plan.size(needed)} needed, {plan.size(free)} free")


if __name__ == "__main__":
    command.run(main)
