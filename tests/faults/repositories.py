"""A repository in which a small study of every kind of stage is done, and what takes the work of some out of it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PARAMS = """
data: {source: textures, train_per_class: 8, test_per_class: 2, seed: 0}
grid:
- {network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0]}
train: {width: 0.0625, batch_size: 16, steps: 12, test_every: 6, checkpoint_every: 6}
probe: {step_sizes: [0.5, 1.0], random_directions: false, units: 2}
dln_grid: {norm_layer: [batch], learning_rate: [1.0e-6]}
dln_scan: {norm_layer: [none], learning_rate: [1.0e-6], steps: 4, loss_every: 2}
dln: {depth: 3, features: 4, samples: 50, seeds: [0, 1], steps: 20, affine: true, eps: 1.0e-5, loss_every: 1,
  probe_every: 10, control_every: 10, sharpness_every: 10, histogram_every: 10, step_sizes: [1.0],
  extra_step_sizes: [0.5], distances: [0.1], relative_steps: [0.1], shift_layers: [1], activation_layers: [1],
  histogram_seeds: 1, eigenvalue_products: 5}
dln_lottery: []
theory: {cases: 2, samples: [4, 16], seeds: [0, 1]}
assumptions: {norm_layer: [batch], steps: [0], layers: 1, units: 1}
reparametrization: {norm_layer: [none], steps: [12], step_sizes: [1.0], distances: [0.1], learned_affine: false}
analyze: {studies: [training, dln, dln_scan, theory, reparametrization], network: vgg11, learning_rate: 1.0e-1,
  dln_learning_rate: 1.0e-6, window: 4, confidence: 0.95, resamples: 200, seed: 0}
report: {preset: faults, notebooks: [07-theory]}
"""
Changes = dict[str, dict[str, Any]]
FEW: Changes = {
    "assumptions": {"norm_layer": []},
    "reparametrization": {"norm_layer": []},
    "train": {"checkpoints": "few"},
}
"""Changes with which training and probing are one stage, `measure`."""


def environment() -> dict[str, str]:
    """In which the programs of this environment are `python`, with one thread."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}


def start(root: Path, program: str, *arguments: str) -> subprocess.Popen:
    """A program of `make repro`, as a group of processes of its own; what it says is added to the file `said`."""
    with (root / "said").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", f"normlab.stages.{program}", *arguments], cwd=root, env=environment(),
            start_new_session=True, stdout=said, stderr=said,
        )  # fmt: skip


def programs(jobs: int) -> list[tuple[str, ...]]:
    """What `make repro JOBS=…` calls, one after the other."""
    return [("mend",), ("expand",), ("repro", "--jobs", str(jobs)), ("publish",)]


def make(root: Path, jobs: int, limit: float, took: dict[str, float] | None = None) -> str:
    """Do as `make repro` does; what the first program that failed said, or "". How long each took goes to `took`."""
    for call in programs(jobs):
        begun, size = time.monotonic(), (root / "said").stat().st_size if (root / "said").exists() else 0
        if start(root, *call).wait(timeout=limit):
            with (root / "said").open() as said:
                said.seek(size)
                return said.read() or f"{call[0]} failed, and said nothing"
        if took is not None:
            took[call[0]] = time.monotonic() - begun
    return ""


def build(root: Path, limit: float) -> None:
    """A clone of this repository with the whole study done."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)
    for name in ("dvc.lock", "runs.yaml"):  # of the study that is committed
        (root / name).unlink()
    (root / "params.yaml").write_text(PARAMS)
    _finish(root, limit)


def build_changed(root: Path, source: Path, changes: Changes, limit: float) -> None:
    """A copy of `source`, done under settings changed by `changes`."""
    shutil.copytree(source, root, symlinks=True)
    params = yaml.safe_load(PARAMS)
    for section, values in changes.items():
        params[section] |= values
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    _finish(root, limit)


def _finish(root: Path, limit: float) -> None:
    said = make(root, 2, limit)
    assert not said, said


@dataclass(frozen=True)
class Stage:
    """What dvc.lock says of a stage: its name, and path and digest of each of its outputs."""

    name: str
    outs: tuple[tuple[str, str], ...]

    @property
    def kind(self) -> str:
        """The name without that of the run or cell."""
        return self.name.partition("@")[0]


def stages(root: Path) -> list[Stage]:
    """All of dvc.lock."""
    entries = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    return [
        Stage(name, tuple((out["path"], out["md5"]) for out in entry.get("outs", ())))
        for name, entry in entries.items()
    ]


def contents(root: Path) -> dict[str, bytes]:
    """The bytes of dvc.lock and of all outputs."""
    outs = [root / path for stage in stages(root) for path, _ in stage.outs]
    files = [file for out in outs for file in ([out] if out.is_file() else sorted(out.rglob("*"))) if file.is_file()]
    return {str(file.relative_to(root)): file.read_bytes() for file in [root / "dvc.lock", *files]}


def forget(root: Path, lost: Iterable[Stage]) -> None:
    """Take the outputs of stages out of the working tree and the cache; dvc.lock still says what they were."""
    for stage in lost:
        for path, digest in stage.outs:
            for name in (digest, *_listed(root, digest)):
                _cached(root, name).unlink(missing_ok=True)
            place = root / path
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    shutil.rmtree(root / ".dvc/cache/runs", ignore_errors=True)  # DVC would take them from there


def forget_all(root: Path) -> None:
    """Take away all that stages made, and all that is known of it, as in a new clone."""
    forget(root, stages(root))
    (root / "dvc.lock").unlink()
    (root / ".dvc/tmp/dvc.lock.good").unlink(missing_ok=True)


def _cached(root: Path, digest: str) -> Path:
    return root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def _listed(root: Path, digest: str) -> list[str]:
    """The digests of the files of a folder that has this digest."""
    listing = _cached(root, digest)
    if not digest.endswith(".dir") or not listing.exists():
        return []
    return [entry["md5"] for entry in json.loads(listing.read_text())]
