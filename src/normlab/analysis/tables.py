"""The tidy tables: the outputs of the stages, read by the names that the parameters give, as one frame.

One row a run × step × quantity, columns `COLUMNS` of `normlab.records`. A quantity without a layer has the layer
"", one without a step size the step size NaN. Values that are inf or NaN are results (a run that diverged, a walk
that left the floating range) and stay in the table.

Beside what the probes wrote, every training run has three rows of the probe `summary` at the step where it ended:
`steps` (planned updates), `diverged_at` (NaN if it did not diverge) and `parameters`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from normlab.records import COLUMNS, KEYS
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec

HISTOGRAM_COLUMNS = (*KEYS, "layer", "unit", "step", "left", "right", "count")
_TEXT = ("study", "network", "norm_layer", "probe", "layer", "quantity")
_FLOATS = ("learning_rate", "step_size")
_RELATIVE = 1e-6  # two rates or step sizes that differ by less are the same one, written through another rounding


def load_measurements(path: str | Path) -> pd.DataFrame:
    """The measurements table at `path`, text columns as categories.

    Raises:
        InputError: the file is missing, unreadable or has other columns than `normlab.records.COLUMNS`.
    """
    return _load(Path(path), COLUMNS)


def load_histograms(path: str | Path) -> pd.DataFrame:
    """The histograms table at `path` (columns `HISTOGRAM_COLUMNS`), text columns as categories.

    Raises:
        InputError: the file is missing, unreadable or has other columns.
    """
    return _load(Path(path), HISTOGRAM_COLUMNS)


def select(frame: pd.DataFrame, **conditions: object) -> pd.DataFrame:
    """The rows of `frame` that meet every condition, in their order.

    Args:
        frame: a table of the tidy schema.
        conditions: column = value, or column = a list of values one of which must be met. Learning rates and step
            sizes are equal when they agree to 1e-6 relative; `step_size=None` means rows without a step size.

    Raises:
        ValueError: a condition on a column that the table does not have.

    Example:
        select(frame, probe="landscape", quantity="effective_beta", norm_layer=["none", "batch"], step_size=None)
    """
    chosen = np.ones(len(frame), dtype=bool)
    for column, wanted in conditions.items():
        if column not in frame:
            raise ValueError(f"unknown column {column!r}; there are: {', '.join(frame.columns)}")
        values = list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
        if column in _FLOATS:
            chosen &= _float_matches(frame[column].to_numpy(dtype=float), values)
        else:
            chosen &= frame[column].isin(values).to_numpy()
    return frame[chosen]


def _float_matches(column: np.ndarray, wanted: Sequence[object]) -> np.ndarray:
    matches = np.zeros(len(column), dtype=bool)
    for value in wanted:
        if value is None:
            matches |= np.isnan(column)
        else:
            matches |= np.isclose(column, float(value), rtol=_RELATIVE, atol=0.0)  # type: ignore[arg-type]
    return matches


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
            measurements.append(_melt(_read(folder / f"{probe}.parquet"), keys, probe))
        for name, columns, target in (
            ("probes", COLUMNS, measurements),
            ("histograms", HISTOGRAM_COLUMNS, histograms),
        ):
            path = probes / run.name / f"{name}.parquet"
            frame = _read(path, columns)
            _require_cell(frame, {key: {value} for key, value in keys.items()}, path)
            target.append(frame)
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
            frame = _read(cell / f"{name}.parquet", columns)
            _require_cell(frame, keys, cell / f"{name}.parquet")
            target.append(frame)
    return measurements, histograms


def read_measurements_of(study: str, path: Path) -> pd.DataFrame:
    """The measurements of a study that writes a single file.

    Raises:
        InputError: the file is missing or holds rows of another study.
    """
    frame = _read(path, COLUMNS)
    _require_cell(frame, {"study": {study}}, path)
    return frame


def read_theory(folder: Path) -> pd.DataFrame:
    """Both tables of the theory study (columns of `normlab.theory_study.table`): random numbers, then checkpoints.

    Raises:
        InputError: `random.parquet` or `checkpoints.parquet` is missing.
    """
    frames = [_read(folder / f"{source}.parquet") for source in ("random", "checkpoints")]
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def strays(folder: Path, names: Iterable[str]) -> list[str]:
    """The sub-folders of `folder` that `names` does not name: left behind by an earlier grid, and not read."""
    named = set(names)
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name not in named)


def combine(frames: Sequence[pd.DataFrame], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """All rows of `frames` below each other, text columns as categories; an empty table if there are none."""
    filled = [frame for frame in frames if len(frame)]
    table = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame({column: [] for column in columns})
    return _categories(table[list(columns)])


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write `table` as parquet: text as plain strings, the same bytes for the same rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {column: str for column in _TEXT if column in table}
    table.astype(plain).to_parquet(path, index=False)


def _load(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    return _categories(_read(path, columns))


def _categories(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({column: "category" for column in _TEXT if column in frame})


def _read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    try:
        frame = pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`, or take its study out of analyze.studies") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable parquet file: {' '.join(str(error).split())}") from None
    if columns is not None and tuple(frame.columns) != tuple(columns):
        raise InputError(f"{path}: expected the columns {', '.join(columns)}, got {', '.join(frame.columns)}")
    return frame


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
    return tidy[list(COLUMNS)].astype({"step": "int64", "value": "float64"})


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
