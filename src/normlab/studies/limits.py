"""What no machine like this one can hold, found before anything runs: a slip such as `steps: 1000000000`.

Lower bounds of what a study needs are compared with the machine's whole memory and disk. What a run will really cost is
measured when it starts (`normlab.runs.cost`).
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from normlab.runs.networks import LEAST_CLASSES, checkpoint_bytes
from normlab.specs.strict import InputError
from normlab.specs.study import StudySpec

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
    disk, needed = shutil.disk_usage(root).total, checkpoints_bytes(study)
    if needed > disk:
        raise InputError(
            f"train.checkpoint_every: the checkpoints of {len(study.runs)} runs need {_gigabytes(needed)} of disk of "
            f"{_gigabytes(disk)}"
        )


def checkpoints_bytes(study: StudySpec) -> int:
    """Bytes of all checkpoints that the runs of a study keep, from the specs alone.

    DVC keeps an output in its cache and, where the file system has no reflinks, a second time in the working tree. A
    network or normalizer of one's own, which may not be built for this, counts as 0.
    """
    classes = study.data.num_classes or LEAST_CLASSES
    built_in = [run for run in study.runs if ":" not in run.network + run.norm_layer]
    # what a checkpoint takes depends on neither of the two, and is worked out once
    sizes = [checkpoint_bytes(replace(run, learning_rate=1.0, seed=0), classes) for run in built_in]
    return sum(size * len(study.kept(run)) for size, run in zip(sizes, built_in, strict=True))


def _memory(study: StudySpec) -> Iterator[tuple[str, int, int]]:
    """(key, value, bytes at least) of every setting that one process has to hold at once."""
    if study.data.source == "textures":
        for key in ("train_per_class", "test_per_class"):
            count = getattr(study.data, key)
            yield f"data.{key}", count, count * (study.data.num_classes or LEAST_CLASSES) * IMAGE_BYTES
    for run in study.runs:
        yield f"train.steps ({run.name})", run.train.steps, run.train.steps * HISTORY_BYTES
    dln, scan, theory = study.dln, study.dln_scan, study.theory
    yield "dln.steps", dln.steps, dln.steps * len(dln.seeds) * 2 * 8
    yield "dln.samples", dln.samples, dln.samples * dln.features * len(dln.seeds) * 8
    yield "dln.features", dln.features, dln.features**2 * dln.depth * len(dln.seeds) * 8
    yield "dln_scan.steps", scan.steps, scan.steps * len(dln.seeds) * len(scan.learning_rate) * 8
    yield "theory.cases", theory.cases, theory.cases * 8
    yield "theory.samples", max(theory.samples), max(theory.samples) ** 2 * 8


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
