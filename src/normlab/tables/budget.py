"""Finished runs of a lent machine as a few small files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from normlab.specs.training import RunSpec
from normlab.tables.frames import HISTOGRAM_COLUMNS, combine, write_table
from normlab.tables.stage_outputs import read_training_study

LARGEST_FILE = 16 * 2**20  # bytes, of a file that comes back
MEASUREMENT_FILES = 3


def write_budget(folder: Path, runs: Sequence[RunSpec], work: Path) -> list[RunSpec]:
    """Write `histograms.parquet` and `measurements.parquet`, or several of these where one would be too large.

    Args:
        folder: where the files go.
        runs: the finished runs, in the order of their value.
        work: holds `models/<run>/` and `probes/<run>/`.

    Returns:
        The runs for which there was no room: four files of 16 MB hold the others. What a lent machine has made is worth
        more than an error.
    """
    kept = list(runs)
    while kept and not _written(folder, kept, work):
        kept.pop()
    return list(runs[len(kept) :])


def _written(folder: Path, runs: Sequence[RunSpec], work: Path) -> bool:
    """Whether the runs fit; only then the files are there."""
    measurements, histograms = read_training_study(runs, work / "models", work / "probes")
    path = folder / "histograms.parquet"
    write_table(combine(histograms, HISTOGRAM_COLUMNS), path)
    if path.stat().st_size > LARGEST_FILE:
        path.unlink()
        return False
    for count in range(1, MEASUREMENT_FILES + 1):
        paths = [folder / f"measurements{'' if count == 1 else f'-{n + 1}'}.parquet" for n in range(count)]
        for part_path, part in zip(paths, _parts(measurements, count), strict=True):
            write_table(combine(part), part_path)
        if max(part_path.stat().st_size for part_path in paths) <= LARGEST_FILE:
            return True
        for part_path in paths:
            part_path.unlink()
    path.unlink()
    return False


def _parts(frames: Sequence[pd.DataFrame], count: int) -> list[list[pd.DataFrame]]:
    """`count` stretches of the frames with about as many rows each."""
    parts: list[list[pd.DataFrame]] = [[] for _ in range(count)]
    total, before = sum(map(len, frames)), 0
    for frame in frames:
        parts[min(count - 1, before * count // max(total, 1))].append(frame)
        before += len(frame)
    return parts
