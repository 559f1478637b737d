"""Where finished runs come from: commit and tag, versions, processor, and the hours that they took."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.specs.strict import InputError

LOGS = "logs/wall-times"  # of `normlab.runs.progress`
MACHINE_FILE = "machine.json"  # of the program `budget`, whose files leave the machine that made them
PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scipy", "pyarrow", "dvc", "pillow")


def origin_of(folder: Path, processor_name: str = "") -> dict[str, Any]:
    """Commit, versions and processor of what was made in a folder: as its `machine.json` says, else as found here."""
    path = folder / MACHINE_FILE
    try:
        origin = json.loads(path.read_text(encoding="utf-8")) if path.exists() else here(folder)
        return {**origin, **({"processor": processor_name} if processor_name else {})}
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not what the program budget says of its machine: {error!r}") from None


def here(folder: Path, device: str = "cpu", commit: str = "") -> dict[str, Any]:
    """Commit (as given, or as Git says) and versions of a clone, and what computes on `device` of this machine."""
    import torch  # seconds, which reading a record does not need

    source = {"commit": commit} if commit else source_of(folder)
    gpu = f"{torch.cuda.get_device_name(device)}; " if torch.device(device).type == "cuda" else ""
    return {**source, "versions": versions_of(folder), "processor": gpu + processor()}


def source_of(folder: Path) -> dict[str, Any]:
    """The commit that a clone stands at, the tags there, and whether tracked files were changed; empty without Git."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    if not (folder / ".git").exists():
        return {}
    code = ("src", "dvc.yaml", "requirements.lock", "params.yaml")
    return {
        "commit": git("rev-parse", "HEAD"),
        "tags": git("tag", "--points-at", "HEAD").split(),
        "changed": sorted(git("diff", "--name-only", "HEAD", "--", *code).split()),
    }


def versions_of(folder: Path) -> dict[str, str]:
    """Python and packages of the folder's own environment (`.venv`), or of the present one where it has none."""
    installed = sorted(folder.glob(".venv/lib/python3*/site-packages"))
    where = [str(path) for path in installed] or None
    found = importlib.metadata.distributions(path=where) if where else importlib.metadata.distributions()
    by_name = {found_one.metadata["Name"].lower(): found_one.version for found_one in found}
    python = installed[0].parent.name.removeprefix("python") if installed else platform.python_version()
    return {"python": python} | {name: by_name[name] for name in PACKAGES if name in by_name}


def processor() -> str:
    """The class of this machine's processor: its model, and the instructions that decide speed and rounding."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = set(re.findall(r"\b(avx2|avx512f|avx512_bf16|amx_bf16|asimd)\b", text))
    name = model.group(1) if model else platform.processor() or platform.machine()
    return (
        f"{name} ({', '.join(sorted(flags))}), {os.cpu_count()} cores" if flags else f"{name}, {os.cpu_count()} cores"
    )


def seconds_of(folder: Path, run: str) -> float | None:
    """Wall seconds of a run with its probes, by its log of wall times; None where there is none.

    A run that was resumed has the times of its last stretch alone: they are taken for all updates that were made.
    """
    path = folder / LOGS / f"{run}.csv"
    try:
        times = pd.read_csv(path)
        made = int(times["step"].iloc[-1]) + 1  # fewer than planned where the run diverged
        return round(float(times["seconds"].iloc[-1]) * made / len(times), 1)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def core_hours(seconds: Iterable[float | None]) -> float:
    """Hours of one core: every run has one thread."""
    return round(sum(one for one in seconds if one is not None) / 3600, 2)
