"""What `make plan` costs with many runs, and beside DVC: `python benchmarks/planning.py`, some minutes.

A grid of N runs with `checkpoints: few`, each with an entry in dvc.lock and outputs of three small files: the time to
read dvc.lock, to hash everything once and judge every stage (a first time, and again), and the memory of it all. DVC's
own `status` is asked for the smallest one. Seconds of the processor.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from report import publish

from normlab.scheduling.digests import KNOWN, Cache, Digests
from normlab.scheduling.lock_reader import read_lock
from normlab.scheduling.pipeline import read_stages
from normlab.scheduling.staleness import judge
from normlab.specs.expansion import expand, write
from normlab.specs.strict import load_params
from normlab.specs.study import read_study

ROOT = Path(__file__).resolve().parents[1]


def build(root: Path, runs: int) -> None:
    """A repository in which N runs were made, as far as DVC can tell."""
    for name in ("src", "notebooks"):
        (root / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "dvc.yaml", root)
    shutil.copy(ROOT / ".dvcignore", root)
    params = yaml.safe_load((ROOT / "presets/quick.yaml").read_text())
    grid = {"network": ["vgg11"], "norm_layer": ["batch", "none"], "learning_rate": [0.1], "seed": [*range(runs // 2)]}
    params |= {"grid": [grid], "train": {**params["train"], "checkpoints": "few"}}
    params["assumptions"]["norm_layer"] = params["reparametrization"]["norm_layer"] = []
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    write(expand(read_study(root / "params.yaml"), root), root)
    stages = read_stages(root / "dvc.yaml", yaml.safe_load((root / "runs.yaml").read_text()))
    for stage in stages.values():
        for out in stage.outs:
            is_file = out == "data/checked" or out.endswith((".json", ".html"))
            for name in [""] if is_file else ["summary.json", "history.parquet", "checkpoints/step.pt"]:
                (root / out / name).parent.mkdir(parents=True, exist_ok=True)
                (root / out / name).write_text(f"{out} {name}")
    (root / "data/prepared/manifest.json").write_text("{}")
    digests = Digests(root)
    entries = {}
    for name, stage in stages.items():
        sides = {
            side: [
                {"path": path, "hash": "md5", "md5": digests.digest(path), "size": 1, "nfiles": 1}
                for path in sorted(paths)
            ]
            for side, paths in (("deps", stage.deps), ("outs", stage.outs))
        }
        settings = {key: params["report"]["preset"] if key == "report.preset" else params[key] for key in stage.params}
        entries[name] = {
            "cmd": stage.cmd,
            "deps": sides["deps"],
            "params": {"params.yaml": settings},
            "outs": sides["outs"],
        }
    plain = json.loads(json.dumps({"schema": "2.0", "stages": entries}))  # no two parts are one object: no aliases
    (root / "dvc.lock").write_text(yaml.dump(plain, Dumper=yaml.CSafeDumper, sort_keys=False))


def measure(root: Path, runs: int) -> list[object]:
    """A row of the table."""
    seconds: dict[str, float] = {}

    def timed(name: str, start: float) -> None:
        seconds[name] = time.process_time() - start

    start = time.process_time()
    study = read_study(root / "params.yaml")
    stages = read_stages(root / "dvc.yaml", expand(study, root).entries)
    timed("stages", start)
    start = time.process_time()
    lock = read_lock(root / "dvc.lock")
    timed("lock", start)
    for name in ("hashed", "again"):
        start = time.process_time()
        digests = Digests(root)
        judged = judge(stages, load_params(root / "params.yaml"), lock, digests, Cache(root / ".dvc/cache"))
        digests.save()
        timed(name, start)
    assert len(judged) == len(stages)
    changed = {change for each in judged for change in each.changes if change not in each.stage.outs}
    assert not changed, changed  # all that is missing is the cache
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = seconds["stages"] + seconds["lock"] + seconds["again"]
    return [runs, len(stages), *seconds.values(), total, f"{peak:.0f} MB"]


def dvc_status(root: Path) -> float:
    """Seconds of `dvc status`."""
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    before = os.times()
    subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"], cwd=root, check=False, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Measure and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 100, 1000])
    args = parser.parse_args()
    os.environ["DVC_NO_ANALYTICS"] = "1"
    rows, asked = [], 0.0
    for runs in args.runs:
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder), runs)
            (Path(folder) / KNOWN).unlink(missing_ok=True)
            rows.append(measure(Path(folder), runs))
            asked = asked or dvc_status(Path(folder))
    columns = [
        "runs",
        "stages",
        "dvc.yaml, s",
        "dvc.lock, s",
        "judged first, s",
        "judged again, s",
        "in all again, s",
        "memory",
    ]
    publish(columns, rows, f"`dvc status` with {args.runs[0]} runs: {asked:.1f} s.")


if __name__ == "__main__":
    main()
