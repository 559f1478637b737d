"""The outputs of the stages, opened by the names that the parameters give and turned into frames of the tidy schema.

Beside what the probes wrote, every training run has three rows of the probe `summary` at the step where it ended:
`steps` (planned updates), `diverged_at` (NaN if it did not diverge) and `parameters`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from normlab.specs.dln import DlnCell
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec
from normlab.tables.frames import HISTOGRAM_COLUMNS, as_categories, read_parquet
from normlab.tables.rows import COLUMNS
from normlab.tables.summaries import read_summary


def read_training_study(
    runs: Iterable[RunSpec], models: Path, probes: Path
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Measurements and histograms of the training runs that `runs` names, one frame a file.

    Only the folders of `runs` are opened: what a removed grid value left behind takes no part.

    Args:
        runs: the grid.
        models: the folder of the training outputs, `<models>/<run>/{history,test,held_out}.parquet` and `summary.json`.
        probes: the folder of the probe outputs, `<probes>/<run>/{probes,histograms}.parquet`.

    Raises:
        InputError: a file is missing or belongs to another run.
    """
    measurements: list[pd.DataFrame] = []
    histograms: list[pd.DataFrame] = []
    for run in runs:
        keys = run.keys
        folder = models / run.name
        measurements.append(_summary(folder / "summary.json", run, keys))
        for probe in ("history", "test", "held_out"):
            if probe != "held_out" or (folder / "held_out.parquet").exists():  # written where images are held out
                measurements.append(_melt(read_parquet(folder / f"{probe}.parquet"), keys, probe))
        for name, columns, target in (
            ("probes", COLUMNS, measurements),
            ("histograms", HISTOGRAM_COLUMNS, histograms),
        ):
            target.append(as_categories(_read_of(keys, probes / run.name / f"{name}.parquet", columns)))
    return measurements, histograms


def read_deep_linear_study(cells: Iterable[DlnCell], folder: Path) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Measurements and histograms of the cells of the deep linear study.

    Raises:
        InputError: a file is missing or belongs to another cell.
    """
    measurements: list[pd.DataFrame] = []
    histograms: list[pd.DataFrame] = []
    for cell in cells:
        for name, columns, target in (
            ("measurements", COLUMNS, measurements),
            ("histograms", HISTOGRAM_COLUMNS, histograms),
        ):
            target.append(as_categories(_read_of(cell.keys, folder / cell.name / f"{name}.parquet", columns)))
    return measurements, histograms


def read_learning_rate_scan(folder: Path) -> pd.DataFrame:
    """The measurements of the scan of learning rates of the deep linear networks.

    Raises:
        InputError: the file is missing or holds rows of another study.
    """
    return _read_of({"study": "dln_scan"}, folder / "measurements.parquet", COLUMNS)


def read_lottery(cell: DlnCell, folder: Path) -> pd.DataFrame:
    """The few numbers of the many seeds of one deep linear cell.

    Raises:
        InputError: the file is missing or belongs to another cell.
    """
    keys = {**cell.keys, "study": "dln_lottery"}
    return as_categories(_read_of(keys, folder / cell.name / "measurements.parquet", COLUMNS))


def read_reparametrization_study(runs: Iterable[RunSpec], folder: Path) -> list[pd.DataFrame]:
    """Measurements of the plain runs that `runs` names before and after BatchNorm is put in, one frame a run.

    Raises:
        InputError: a file is missing or belongs to another run.
    """
    return [
        _read_of({"study": "reparametrization", **_point(run)}, folder / run.name / "measurements.parquet", COLUMNS)
        for run in runs
    ]


def read_theory_study(runs: Iterable[RunSpec], random: Path, assumptions: Path) -> pd.DataFrame:
    """The statements on random numbers, then at the checkpoints of `runs`.

    Columns of `normlab.studies.statements.table`.

    Args:
        runs: trained runs with BatchNorm.
        random: the folder of the theory stage's outputs.
        assumptions: the folder of the assumptions stage's outputs, a folder a run.

    Raises:
        InputError: a file is missing or belongs to another run.
    """
    frames = [read_random_statements(random), *(read_assumptions(run, assumptions) for run in runs)]
    return pd.concat(frames, ignore_index=True)


def read_random_statements(folder: Path) -> pd.DataFrame:
    """The statements on random numbers, from the folder of the theory stage's outputs."""
    return read_parquet(folder / "random.parquet")


def read_assumptions(run: RunSpec, folder: Path) -> pd.DataFrame:
    """The statements at the checkpoints of one run, from the folder of the assumptions stage's outputs.

    Raises:
        InputError: the file is missing or belongs to another run.
    """
    keys = {**_point(run), "norm_layer": run.norm_layer}
    return _read_of(keys, folder / run.name / "checkpoints.parquet")


def strays(folder: Path, names: Iterable[str]) -> list[str]:
    """The sub-folders of `folder` that `names` does not name: left behind by an earlier grid, and not read."""
    named = set(names)
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name not in named)


def _point(run: RunSpec) -> dict[str, object]:
    """What all rows of a run share, whatever is put into its network."""
    return {key: run.keys[key] for key in ("network", "learning_rate", "variant", "seed")}


def _read_of(keys: Mapping[str, object], path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The frame at `path`, refused if its rows belong to another run or cell than its folder says."""
    frame = read_parquet(path, columns)
    for key, accepted in keys.items():
        found = set(frame[key].unique())
        if found - {accepted}:
            shown = ", ".join(map(str, sorted(found, key=str)))
            raise InputError(f"{path}: column {key} should be {accepted}, got {shown}")
    return frame


def _melt(frame: pd.DataFrame, keys: dict[str, object], probe: str) -> pd.DataFrame:
    """A table of one column a quantity (and `step`) as rows of the tidy schema."""
    tidy = frame.melt(id_vars="step", var_name="quantity").assign(
        **keys, probe=probe, layer="", step_size=math.nan, batch=0
    )
    return as_categories(tidy[list(COLUMNS)].astype({"step": "int64", "value": "float64"}))


def _summary(path: Path, run: RunSpec, keys: dict[str, object]) -> pd.DataFrame:
    summary = read_summary(path)
    if summary["spec"] != json.loads(json.dumps(run.as_dict())):
        raise InputError(f"{path}: the run was trained under other settings than `train` and `grid` now say")
    diverged_at = summary["diverged_at"]
    if reason := run.train.why_not_whole(summary["checkpoints"], diverged_at):
        raise InputError(f"{path}: {reason}; run `dvc repro`")
    values = {
        "steps": run.train.steps,
        "diverged_at": math.nan if diverged_at is None else diverged_at,
        "parameters": summary["parameters"],
    }
    ended = run.train.steps if diverged_at is None else diverged_at
    return _melt(pd.DataFrame({"step": [ended], **{name: [float(v)] for name, v in values.items()}}), keys, "summary")
