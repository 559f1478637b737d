"""One run of a record, trained and probed once more under its own settings, beside what the record holds of it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.pages.records import Record
from normlab.records.files import read_measurements, same_table, write_measurements
from normlab.records.record import DATA, PARAMS
from normlab.records.results import run_metrics
from normlab.specs.strict import InputError
from normlab.specs.study import read_study
from normlab.specs.training import RunSpec
from normlab.tables.frames import combine, select
from normlab.tables.stage_outputs import read_training_study

FIRST = 10  # updates whose losses are compared one by one


@dataclass(frozen=True)
class Repeated:
    """A run beside its repetition.

    Attributes:
        identical: whether every measured row is the same, in the record's single precision.
        committed, now: numbers of both by name: `cells` as in metrics.json, and `first`, before rounding is amplified.
    """

    identical: bool
    committed: dict[str, Any]
    now: dict[str, Any]


def repeat_run(record: Record, name: str, folder: Path) -> Repeated:
    """Prepare the images, train and probe the run anew in `folder`, one thread as the record's runs had.

    Raises:
        InputError: no such run in the record; other images (NORMLAB_DATA may name the record's own archive).
        subprocess.CalledProcessError: a program failed; what it said is on the terminal.
    """
    study = read_study(record.params)
    run = next((run for run in study.runs if run.name == name), None)
    if run is None or f"runs/{name}" not in record.manifest["finished"]:
        there = [place.removeprefix("runs/") for place in record.manifest["finished"] if place.startswith("runs/")]
        raise InputError(f"RUN: no finished run {name!r} in the record {record.name}; there are: {', '.join(there)}")
    shutil.copyfile(record.params, folder / PARAMS)
    _program(folder, "normlab.stages.data")
    digests = [_digest(path) for path in (record.folder / DATA, folder / "data/prepared/manifest.json")]
    if digests[0] != digests[1]:
        raise InputError(f"{record.folder / DATA}: other images than those found here ({digests[0]} and {digests[1]})")
    _train(folder, run, study.looked_at(run))
    measured = combine(read_training_study([run], folder / "models/runs", folder / "data/probes")[0])
    write_measurements(measured, folder / "measurements.parquet")
    stored = record.folder / "runs" / name / "measurements.parquet"
    both = [read_measurements(path) for path in (stored, folder / "measurements.parquet")]
    committed, now = ({**run_metrics(frame, record.params), "first": first_numbers(frame)} for frame in both)
    return Repeated(same_table(stored, folder / "measurements.parquet"), committed, now)


def first_numbers(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Losses of the first updates, and the summary of the walk along the gradient at step 0."""
    at = {"step_size": None, "variant": list(frame["variant"].unique())}
    losses = select(frame, probe="history", quantity="loss", **at)
    walk = select(frame, probe="landscape", step=0, **at)
    return {
        "loss": {str(row.step): row.value for row in losses[losses["step"] < FIRST].itertuples()},
        "landscape": {row.quantity: row.value for row in walk.itertuples()},
    }


def _train(folder: Path, run: RunSpec, keep: tuple[int, ...]) -> None:
    point = ["--network", run.network, "--norm-layer", run.norm_layer, "--learning-rate", str(run.learning_rate)]
    point += ["--seed", str(run.seed), *(["--variant", run.variant] if run.variant else [])]
    out = ["--out", f"models/runs/{run.name}", "--probes", f"data/probes/{run.name}"]
    _program(folder, "normlab.stages.measure", *point, "--keep", *map(str, keep), *out)


def _program(folder: Path, module: str, *words: str) -> None:
    source = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", module, *words], cwd=folder, env=environment, stdout=sys.stderr.fileno(), check=True
    )


def _digest(path: Path) -> str:
    return str(json.loads(path.read_text(encoding="utf-8")).get("digest"))
