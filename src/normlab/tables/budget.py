"""Finished runs of a lent machine as a few small files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from normlab.specs.training import RunSpec
from normlab.tables.frames import HISTOGRAM_COLUMNS, combine, write_table
from normlab.tables.stage_outputs import read_training_study

LARGEST_FILE = 16 * 2**20  # bytes, of a file that comes back
MEASUREMENT_FILES = 4


def write_budget(folder: Path, runs: Sequence[RunSpec], work: Path) -> None:
    """Write `histograms.parquet` and `measurements.parquet`, or several of these where one would be too large.

    Args:
        folder: where the files go.
        runs: the finished runs.
        work: holds `models/<run>/` and `probes/<run>/`.

    Raises:
        ValueError: four files are not enough to keep each below 16 MB.
    """
    measurements, histograms = read_training_study(runs, work / "models", work / "probes")
    write_table(combine(histograms, HISTOGRAM_COLUMNS), folder / "histograms.parquet")
    for count in range(1, MEASUREMENT_FILES + 1):
        paths = [folder / f"measurements{'' if count == 1 else f'-{n + 1}'}.parquet" for n in range(count)]
        for path, part in zip(paths, _parts(measurements, count), strict=True):
            write_table(combine(part), path)
        if max(path.stat().st_size for path in paths) <= LARGEST_FILE:
            return
        for path in paths:
            path.unlink()
    raise ValueError(f"{folder}: {MEASUREMENT_FILES} files of {LARGEST_FILE} bytes do not hold {len(runs)} runs")


def _parts(frames: Sequence[pd.DataFrame], count: int) -> list[list[pd.DataFrame]]:
    """`count` stretches of the frames with about as many rows each."""
    parts: list[list[pd.DataFrame]] = [[] for _ in range(count)]
    total, before = sum(map(len, frames)), 0
    for frame in frames:
        parts[min(count - 1, before * count // max(total, 1))].append(frame)
        before += len(frame)
    return parts
