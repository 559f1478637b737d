"""What a stage costs beside its work: `python benchmarks/stages.py`, about two minutes.

A fresh process for each: the start of Python with torch; the stage `data` on 220 images; a training of 20 steps, and of
it what the updates themselves take; `make plan`; DVC's own start. Seconds of the processor, of the process and its
children, the fastest of two.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from report import publish

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 2
TRAIN = "train --network vgg11 --norm-layer batch --learning-rate 0.1 --seed 0 --out models/runs/a"


def cpu_seconds(arguments: list[str], root: Path) -> tuple[float, str]:
    """Of the fastest of some runs of `python …`, and what it printed."""
    found = []
    for _ in range(REPEATS):
        before = os.times()
        done = subprocess.run([sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        found.append((spent, done.stdout + done.stderr))
    return min(found)


def main() -> None:
    """Measure and keep the table."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("src", "notebooks", "parts", "dvc.yaml", "dvc.lock", ".dvcignore"):
            (root / name).symlink_to(ROOT / name)
        text = (ROOT / "presets/quick.yaml").read_text()
        for old, new in (
            ("train_per_class: 500", "train_per_class: 20"),
            ("steps: 200\n", "steps: 20\n"),
            ("steps: [0, 200]", "steps: [0]"),
            ("steps: [200]", "steps: [0]"),
            ("checkpoint_at: [1, 10]", "checkpoint_at: [1]"),
        ):
            text = text.replace(old, new, 1)
        (root / "params.yaml").write_text(text)
        stage = ["-m", "normlab.stages."]
        rows = [
            ["python", cpu_seconds(["-c", "pass"], root)[0], ""],
            ["… with torch", cpu_seconds(["-c", "import torch"], root)[0], ""],
            ["… with torch.optim and pandas", cpu_seconds(["-c", "import torch.optim, torch, pandas"], root)[0], ""],
            ["stage data, 220 images", cpu_seconds([stage[0], f"{stage[1]}data"], root)[0], ""],
        ]
        seconds, said = cpu_seconds([stage[0], *f"{stage[1]}{TRAIN}".split()], root)
        predicted = re.search(r"about (\d+) s", said)
        work = f"of it about {predicted[1]} s updates" if predicted else ""
        rows.append(["stage train, 20 steps", seconds, work])
        first = cpu_seconds([stage[0], f"{stage[1]}plan"], root)[0]
        rows.append(["make plan, quick preset, the machine measured before", first, "no DVC"])
        rows.append(["dvc --version", cpu_seconds(["-m", "dvc", "--version"], root)[0], ""])
        shutil.rmtree(root / "scratch", ignore_errors=True)
    publish(["", "CPU seconds", ""], rows, "A no-op reproduction and stages side by side are in `scheduling`.")


if __name__ == "__main__":
    main()
