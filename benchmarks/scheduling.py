"""What running many stages costs besides the stages: `make bench`, or `python benchmarks/scheduling.py --sizes 10 100`.

The stages are trivial (each a shell that copies a line), items of one `foreach` that read one file, so all that is
measured is overhead. Seconds of the wall and of the CPU, of the process that decides and records alone; its memory.

    plan            what `make plan` does to find out what would run, in this process
    no-op           `make repro` (its program `repro`) where nothing changed
    all run         the same where nothing was there, two jobs side by side
    dvc, no-op      `dvc repro` where nothing changed; `dvc, all run`: where nothing was there, up to --dvc-up-to stages
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from report import publish

from normlab.scheduling.digests import Cache, Digests
from normlab.scheduling.lock_reader import read_lock
from normlab.scheduling.pipeline import read_stages
from normlab.scheduling.staleness import judge

REPRO, DVC = ("normlab.stages.repro", "--jobs", "2"), ("dvc", "repro", "--quiet")
Cost = dict[str, float]
COLUMNS = ("seconds", "CPU seconds", "MB")


def repository(root: Path, stages: int) -> None:
    """A repository with that many trivial stages."""
    root.mkdir()
    names = ", ".join(f"s{number}" for number in range(stages))
    (root / "dvc.yaml").write_text(
        f"stages:\n  part:\n    foreach: [{names}]\n    do:\n"
        "      cmd: cp line out/${item}\n      deps: [line]\n      outs: ['out/${item}']\n"
    )
    (root / "line").write_text("line\n")
    (root / "out").mkdir()
    (root / ".gitignore").write_text("/out\n")
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=root, check=True)


def program(root: Path, module: str, *arguments: str) -> tuple[Cost, str]:
    """What a program takes, without the processes that it starts, and what it said."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=root, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        said.seek(0)
        text = said.read()
    if status:
        raise SystemExit(f"{module} failed ({os.waitstatus_to_exitcode(status)}):\n{text[-2000:]}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return dict(zip(COLUMNS, (seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / unit), strict=True)), text


def cost_of(root: Path, module: str, *arguments: str) -> Cost:
    """What a program takes, without the processes that it starts."""
    return program(root, module, *arguments)[0]


def cost_of_plan(root: Path) -> Cost:
    """What it takes to judge every stage, in this process."""
    begun, used = time.perf_counter(), time.process_time()
    stages = read_stages(root / "dvc.yaml", {})
    judge(stages, {}, read_lock(root / "dvc.lock"), Digests(root), Cache(root / ".dvc/cache"))
    return {"seconds": time.perf_counter() - begun, "CPU seconds": time.process_time() - used}


def measure(stages: int, with_dvc: bool) -> dict[str, Cost]:
    """All costs at one size."""
    with tempfile.TemporaryDirectory(prefix="normlab-bench-") as folder:
        root = Path(folder) / "side-by-side"
        repository(root, stages)
        costs = {"all run": cost_of(root, *REPRO), "no-op": cost_of(root, *REPRO), "plan": cost_of_plan(root)}
        if with_dvc:
            costs["dvc, no-op"] = cost_of(root, *DVC)
            plain = Path(folder) / "plain"
            repository(plain, stages)
            costs["dvc, all run"] = cost_of(plain, *DVC)
            same = (root / "dvc.lock").read_bytes() == (plain / "dvc.lock").read_bytes()
            assert same, "the two leave other files"
    return costs


def table(found: dict[int, dict[str, Cost]]) -> list[list[object]]:
    """A row for each size and program."""
    rows: list[list[object]] = []
    for stages, costs in found.items():
        for name, cost in costs.items():
            memory = f"{cost['MB']:.0f}" if "MB" in cost else ""
            each = 1000 * cost["CPU seconds"] / stages
            rows.append([name, stages, cost["seconds"], cost["CPU seconds"], each, memory])
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and keep the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100], help="numbers of stages")
    parser.add_argument("--dvc-up-to", type=int, default=100, help="plain DVC is measured up to so many stages")
    args = parser.parse_args(argv)
    found = {size: measure(size, size <= args.dvc_up_to) for size in args.sizes}
    publish(["", "stages", "seconds", "CPU seconds", "CPU ms a stage", "MB"], table(found))


if __name__ == "__main__":
    main()
