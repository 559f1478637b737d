"""What is left of the speed after many runs in one store and one cache: `python benchmarks/soak.py --sizes 20 100 500`.

One repository whose grid gets more seeds from size to size; its runs are the shortest that the pipeline trains and
probes (VGG-11 x 1/16 with and without BatchNorm, two updates on 40 images). At each size the programs of `make repro`
and `make plan` have to do their work and are measured: seconds of the wall and of the processor and the memory of the
program alone, without the stages that it starts.

    expand          runs.yaml and parts/ from params.yaml
    repro, new      `make repro` for the new runs; its seconds are those of the stages, two side by side
    repro, no-op    the same where nothing changed
    plan            what would run
    publish, new    the new runs to the local MLflow store, each with its picture
    publish, no-op  the same where nothing changed
    analyze         tables, metrics and verdicts, alone
    page, index     page 01 and the index, alone

A cost that is linear in the runs has the same "ms a further run" at every size: what a program needs more than at the
size before, by the runs that came in between (of `new`, all that it needs). The runs lie below --folder, and are kept
if it is given.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import yaml
from report import publish

from scheduling import REPRO, Cost, program

ROOT = Path(__file__).resolve().parents[1]
NORMALIZERS = ("none", "batch")
PARAMS = """
data: {source: textures, train_per_class: 4, test_per_class: 2, seed: 0}
train: {width: 0.0625, batch_size: 8, steps: 2, test_every: 2, checkpoint_every: 2, checkpoints: few}
probe: {step_sizes: [0.5, 1.0], random_directions: false, curvature: false, units: 2}
dln_grid: {norm_layer: [none], learning_rate: [1.0e-6]}
dln_scan: {norm_layer: [none], learning_rate: [1.0e-6], steps: 2, loss_every: 2}
dln: {depth: 2, features: 2, samples: 8, seeds: [0], steps: 2, affine: true, eps: 1.0e-5, loss_every: 1,
  probe_every: 2, control_every: 2, sharpness_every: 2, histogram_every: 2, step_sizes: [1.0], extra_step_sizes: [0.5],
  distances: [0.1], relative_steps: [0.1], shift_layers: [1], activation_layers: [1], histogram_seeds: 1,
  eigenvalue_products: 2}
dln_lottery: []
theory: {cases: 2, samples: [4], seeds: [0]}
assumptions: {norm_layer: [], steps: [0], layers: 1, units: 1}
reparametrization: {norm_layer: [], steps: [2], step_sizes: [1.0], distances: [], learned_affine: false}
analyze: {studies: [training], network: vgg11, learning_rate: 1.0e-1, dln_learning_rate: 1.0e-6, window: 20,
  confidence: 0.95, resamples: 2000, seed: 0}
report: {preset: soak, notebooks: [01-training]}
"""
PROGRAMS: dict[str, tuple[str, ...]] = {
    "expand": ("normlab.stages.expand",),
    "repro, new": REPRO,
    "repro, no-op": REPRO,
    "plan": ("normlab.stages.plan",),
    "publish, new": ("normlab.stages.publish",),
    "publish, no-op": ("normlab.stages.publish",),
    "analyze": ("normlab.stages.analyze", "--out", "scratch/reports"),
    "page": ("normlab.stages.report", "--notebook", "01-training", "--out", "scratch/01-training.html"),
    "index": ("normlab.stages.index", "--out", "scratch/index.html"),
}
KEPT = {
    "DVC's cache": (".dvc/cache",),
    "dvc.lock": ("dvc.lock",),
    "MLflow's store": ("mlflow.db", "mlruns"),
    "the page": ("reports/html/01-training.html",),
}


@contextlib.contextmanager
def repository(folder: Path | None) -> Iterator[Path]:
    """A clone of this repository, in `folder` or in one that goes away."""
    with tempfile.TemporaryDirectory(prefix="normlab-soak-") as temporary:
        root = folder or Path(temporary) / "repository"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
        for name in ("dvc.lock", "runs.yaml"):  # of the study that is committed
            (root / name).unlink()
        yield root


def write_grid(root: Path, runs: int) -> None:
    """The settings, with a grid of so many runs."""
    seeds = [*range(runs // len(NORMALIZERS))]
    grid = {"network": ["vgg11"], "norm_layer": [*NORMALIZERS], "learning_rate": [0.1], "seed": seeds}
    (root / "params.yaml").write_text(yaml.safe_dump({**yaml.safe_load(PARAMS), "grid": [grid]}, sort_keys=False))


def check(name: str, said: str, root: Path, runs: int, new: int) -> None:
    """Whether a program did what it is for.

    Raises:
        AssertionError: with what it said.
    """
    expected = {
        "repro, new": rf"^\d+ stages ran, 0 came from the cache, {runs + 8} in all$",
        "repro, no-op": rf"^0 stages ran, 0 came from the cache, {runs + 8} in all$",
        # with the claims, which are new at each size; at the first size with all else that is no run of the grid
        "publish, new": rf"^MLflow: \d+ runs, {new + 1} written" if new < runs else r"^MLflow: (\d+) runs, \1 written",
        "publish, no-op": r"^MLflow: (\d+) runs, \1 as before$",
    }
    if name in expected:
        assert re.search(expected[name], said, re.MULTILINE), f"{name}: {said}"
    if name == "repro, new":
        keys = pd.read_parquet(root / "reports/tables/measurements.parquet", columns=["norm_layer", "seed"])
        assert len(keys.drop_duplicates()) == runs, "the table lacks runs"


def bytes_of(paths: Sequence[Path]) -> int:
    """The size of files and of all that lies in folders."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file())


def measure(root: Path, runs: int, new: int) -> tuple[dict[str, Cost], dict[str, int]]:
    """What every program takes, and how large everything is, when `new` of `runs` runs are added."""
    write_grid(root, runs)
    costs = {}
    for name, call in PROGRAMS.items():
        costs[name], said = program(root, *call)
        check(name, said, root, runs, new)
        print(f"{runs} runs, {name}: {costs[name]['seconds']:.1f} s", file=sys.stderr, flush=True)
    return costs, {name: bytes_of([root / path for path in paths]) for name, paths in KEPT.items()}


def table(found: dict[int, tuple[dict[str, Cost], dict[str, int]]]) -> list[list[object]]:
    """A row for each program and size, then one for each kept thing and size."""
    rows: list[list[object]] = []
    sizes = [*found]
    for name in PROGRAMS:
        before, last = 0, 0.0
        for runs in sizes:
            cost = found[runs][0][name]
            spent = cost["CPU seconds"] - (0.0 if name.endswith(", new") else last)
            further = 1000 * spent / (runs - before) if before or name.endswith(", new") else ""
            rows.append([name, runs, cost["seconds"], cost["CPU seconds"], further, f"{cost['MB']:.0f}"])
            before, last = runs, cost["CPU seconds"]
    for name in KEPT:
        rows += [[name, runs, "", "", "", f"{found[runs][1][name] / 1e6:.2f}"] for runs in sizes]
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and keep the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 40], help="numbers of runs, even, increasing")
    parser.add_argument("--folder", type=Path, help="where the repository is made, and kept")
    args = parser.parse_args(argv)
    if args.sizes != sorted({size for size in args.sizes if size > 0 and size % len(NORMALIZERS) == 0}):
        parser.error(f"--sizes: expected multiples of {len(NORMALIZERS)}, each larger than the one before")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["OMP_NUM_THREADS"] = "1"
    found: dict[int, tuple[dict[str, Cost], dict[str, int]]] = {}
    with repository(args.folder) as root:
        for before, runs in zip([0, *args.sizes], args.sizes, strict=False):
            found[runs] = measure(root, runs, runs - before)
    publish(["", "runs", "seconds", "CPU seconds", "CPU ms a further run", "MB"], table(found))


if __name__ == "__main__":
    main()
