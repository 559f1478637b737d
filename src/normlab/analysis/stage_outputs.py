"""The outputs of the stages, opened by the names that the parameters give and turned into frames of the tidy schema.

Beside what the probes wrote, every training run has three rows of the probe `summary` at the step where it ended:
`steps` (planned updates), `diverged_at` (NaN if it did not diverge) and `parameters`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

import pandas as pd

from normlab.analysis.tables import HISTOGRAM_COLUMNS, as_categories, read_parquet
from normlab.records import COLUMNS, KEYS
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec


def read_training_study(
    runs: Iterable[RunSpec], models: Path, probes: Path
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Measurements and histograms of the training runs that `runs` names, one frame a file.

    Only the folders of `runs` are opened: what a removed grid value left behind takes no part.

    Args:
        runs: the grid.
        models: the folder of the training outputs, `<models>/<run>/{history,test}.parquet` and `summary.json`.
        probes: the folder of the probe outputs, `<probes>/<run>/{probes,histograms}.parquet`.

    Raises:
        InputError: a file is missing or belongs to another run.
    """
    measurements: list[pd.DataFrame] = []
    histograms: list[pd.DataFrame] = []
    for run in runs:
        point = (run.study, run.network, run.norm_layer, run.learning_rate, run.seed)
        keys = dict(zip(KEYS, point, strict=True))
        folder = models / run.name
        measurements.append(_summary(folder / "summary.json", run, keys))
        for probe in ("history", "test"):
            measurements.append(_melt(read_parquet(folder / f"{probe}.parquet"), keys, probe))
        for name, columns, target in (
            ("probes", COLUMNS, measurements),
            ("histograms", HISTOGRAM_COLUMNS, histograms),
        ):
            path = probes / run.name / f"{name}.parquet"
            frame = read_parquet(path, columns)
            _require_cell(frame, {key: {value} for key, value in keys.items()}, path)
            target.append(as_categories(frame))
    return measurements, histograms


def read_deep_linear_study(
    cells: Iterable[tuple[str, float]], folder: Path
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Measurements and histograms of the cells (norm_layer, learning_rate) of the deep linear study.

    Raises:
        InputError: a file is missing or belongs to another cell.
    """
    measurements: list[pd.DataFrame] = []
    histograms: list[pd.DataFrame] = []
    for norm_layer, learning_rate in cells:
        cell = folder / f"{norm_layer}-{learning_rate}"
        keys: dict[str, set[object]] = {"study": {"dln"}, "norm_layer": {norm_layer}, "learning_rate": {learning_rate}}
        for name, columns, target in (
            ("measurements", COLUMNS, measurements),
            ("histograms", HISTOGRAM_COLUMNS, histograms),
        ):
            frame = read_parquet(cell / f"{name}.parquet", columns)
            _require_cell(frame, keys, cell / f"{name}.parquet")
            target.append(as_categories(frame))
    return measurements, histograms


def read_measurements_of(study: str, path: Path) -> pd.DataFrame:
    """The measurements of a study that writes a single file.

    Raises:
        InputError: the file is missing or holds rows of another study.
    """
    frame = read_parquet(path, COLUMNS)
    _require_cell(frame, {"study": {study}}, path)
    return frame


def read_theory(folder: Path) -> pd.DataFrame:
    """Both tables of the theory study (columns of `normlab.theory_study.table`): random numbers, then checkpoints.

    Raises:
        InputError: `random.parquet` or `checkpoints.parquet` is missing.
    """
    frames = [read_parquet(folder / f"{source}.parquet") for source in ("random", "checkpoints")]
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def strays(folder: Path, names: Iterable[str]) -> list[str]:
    """The sub-folders of `folder` that `names` does not name: left behind by an earlier grid, and not read."""
    named = set(names)
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name not in named)


def _require_cell(frame: pd.DataFrame, keys: Mapping[str, Set[object]], path: Path) -> None:
    """Refuse a file whose rows belong to another run or cell than its folder says."""
    for key, accepted in keys.items():
        found = set(frame[key].unique()) if len(frame) else accepted
        if found != accepted:
            shown = ", ".join(map(str, sorted(found, key=str)))
            raise InputError(f"{path}: column {key} should be {', '.join(map(str, accepted))}, got {shown}")


def _melt(frame: pd.DataFrame, keys: dict[str, object], probe: str) -> pd.DataFrame:
    """A table of one column a quantity (and `step`) as rows of the tidy schema."""
    tidy = frame.melt(id_vars="step", var_name="quantity").assign(**keys, probe=probe, layer="", step_size=math.nan)
    return as_categories(tidy[list(COLUMNS)].astype({"step": "int64", "value": "float64"}))


def _summary(path: Path, run: RunSpec, keys: dict[str, object]) -> pd.DataFrame:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`, or take the run out of the grid") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if summary["spec"] != json.loads(json.dumps(run.as_dict())):
        raise InputError(f"{path}: the run was trained under other settings than `train` and `grid` now say")
    diverged_at = summary["diverged_at"]
    values = {
        "steps": run.train.steps,
        "diverged_at": math.nan if diverged_at is None else diverged_at,
        "parameters": summary["parameters"],
    }
    ended = run.train.steps if diverged_at is None else diverged_at
    return _melt(pd.DataFrame({"step": [ended], **{name: [float(v)] for name, v in values.items()}}), keys, "summary")
