"""What no machine like this one can hold, found before anything runs: a slip such as `steps: 1000000000`.

Lower bounds of what a study needs are compared with the machine's whole memory and disk. What a run will really cost is
measured when it starts (`normlab.runs.cost`).
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from normlab.runs.networks import checkpoint_bytes
from normlab.specs.strict import InputError
from normlab.specs.study import CLASSES, StudySpec
from normlab.specs.training import RunSpec

IMAGE_BYTES = 32 * 32 * 3
HISTORY_BYTES = 4 * 4 + 5 * 8 + 32
"""A training step: four float32 while it trains, then a row of five 8-byte numbers, and its time as Python's float."""


def check_limits(study: StudySpec, root: Path) -> None:
    """Refuse settings whose images, histories or checkpoints cannot be held.

    Raises:
        InputError: with the key, the need and what there is.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for where, value, needed in _memory(study):
        if needed > memory:
            raise InputError(f"{where}: {value} needs at least {_gigabytes(needed)} of memory of {_gigabytes(memory)}")
    disk = shutil.disk_usage(root).total
    needed = sum(_checkpoint_bytes(run, len(study.kept(run))) for run in study.runs)
    if needed > disk:
        raise InputError(
            f"train.checkpoint_every: the checkpoints of {len(study.runs)} runs need {_gigabytes(needed)} of disk of "
            f"{_gigabytes(disk)}"
        )


def _memory(study: StudySpec) -> Iterator[tuple[str, int, int]]:
    """(key, value, bytes at least) of every setting that one process has to hold at once."""
    if study.data.source == "textures":
        for key in ("train_per_class", "test_per_class"):
            count = getattr(study.data, key)
            yield f"data.{key}", count, count * CLASSES["textures"] * IMAGE_BYTES
    for run in study.runs:
        yield f"train.steps ({run.name})", run.train.steps, run.train.steps * HISTORY_BYTES
    dln, scan, theory = study.dln, study.dln_scan, study.theory
    yield "dln.steps", dln.steps, dln.steps * len(dln.seeds) * 2 * 8
    yield "dln.samples", dln.samples, dln.samples * dln.features * len(dln.seeds) * 8
    yield "dln.features", dln.features, dln.features**2 * dln.depth * len(dln.seeds) * 8
    yield "dln_scan.steps", scan.steps, scan.steps * len(dln.seeds) * len(scan.learning_rate) * 8
    yield "theory.cases", theory.cases, theory.cases * 8
    yield "theory.samples", max(theory.samples), max(theory.samples) ** 2 * 8


def _checkpoint_bytes(run: RunSpec, kept: int) -> int:
    """Of the checkpoints that a run keeps; a network of one's own, which may not be built for this, counts as 0."""
    own = ":" in run.network or ":" in run.norm_layer
    return 0 if own else kept * checkpoint_bytes(replace(run, learning_rate=1.0, seed=0), 10)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
