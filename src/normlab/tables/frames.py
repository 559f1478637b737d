"""The tidy tables: the outputs of the stages, read by the names that the parameters give, as one frame.

One row a run × step × quantity, columns `COLUMNS` of `normlab.tables.rows`. A quantity without a layer has the layer
"", one without a step size the step size NaN. Values that are inf or NaN are results (a run that diverged, a walk
that left the floating range) and stay in the table.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike
from pandas.api.types import is_numeric_dtype, is_string_dtype, union_categoricals

from normlab.specs.strict import InputError
from normlab.tables.rows import COLUMNS, KEYS

HISTOGRAM_COLUMNS = (*KEYS, "layer", "unit", "step", "left", "right", "count")
_TEXT = ("study", "network", "norm_layer", "probe", "layer", "quantity", "variant")
_FLOATS = ("learning_rate", "step_size")
_ROW_GROUP = 1_000_000
EVERY = object()
"""As a condition of `select`: any value. Needed where a column has a default condition."""
_DEFAULTS = {"variant": "", "batch": 0}
_RELATIVE = 1e-6  # two rates or step sizes that differ by less are the same one, written through another rounding


def load_measurements(path: str | Path) -> pd.DataFrame:
    """The measurements table at `path`, text columns as categories.

    Raises:
        InputError: the file is missing, unreadable or has other columns than `normlab.tables.rows.COLUMNS`.
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

    Unless a condition says otherwise, only runs with the shared settings (variant "") and measurements on training's
    own batch (batch 0) are selected.

    Args:
        frame: a table of the tidy schema.
        conditions: column = value, or column = a list of values one of which must be met, or column = `EVERY`. Learning
            rates and step sizes are equal when they agree to 1e-6 relative; `step_size=None` means rows without a step
            size.

    Raises:
        ValueError: a condition on a column that the table does not have.

    Example:
        select(frame, probe="landscape", quantity="effective_beta", norm_layer=["none", "batch"], step_size=None)
    """
    chosen = np.ones(len(frame), dtype=bool)
    defaults = {column: value for column, value in _DEFAULTS.items() if column in frame}
    for column, wanted in (defaults | conditions).items():
        if wanted is EVERY:
            continue
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
            matches |= same(column, float(value))  # type: ignore[arg-type]
    return matches


def same(values: ArrayLike, wanted: ArrayLike) -> np.ndarray:
    """Which learning rates or step sizes equal `wanted`, whatever their rounding (1e-6 relative)."""
    return np.isclose(values, wanted, rtol=_RELATIVE, atol=0.0)


def at_most(values: pd.Series, limit: float | pd.Series) -> pd.Series:
    """Which learning rates or step sizes are at most `limit`, one that equals it but for its rounding included."""
    return values <= limit * (1 + _RELATIVE)


def combine(frames: Sequence[pd.DataFrame], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """All rows of `frames` below each other, text columns as categories; an empty table if there are none."""
    filled = [as_categories(frame) for frame in frames if len(frame)]
    if not filled:
        return as_categories(pd.DataFrame({column: [] for column in columns}))
    table = {}
    for column in columns:
        # by hand: concat would turn categories that differ between frames into text, gigabytes of it in a large study
        parts = [frame[column] for frame in filled]
        table[column] = union_categoricals(parts) if column in _TEXT else np.concatenate(parts)
    return pd.DataFrame(table)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write `table` as parquet: text as plain strings, the same bytes for the same rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = _as_text(table.iloc[:0])
    with pq.ParquetWriter(path, first.schema) as writer:
        for start in range(0, len(table), _ROW_GROUP):
            writer.write_table(_as_text(table.iloc[start : start + _ROW_GROUP]).cast(first.schema))


def _as_text(part: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(part, preserve_index=False)
    table = table.replace_schema_metadata(None)
    for name in (name for name in _TEXT if name in table.column_names):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(name).cast(pa.string()))
    return table


def _load(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    return as_categories(read_parquet(path, columns))


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with the text columns of the schema as categories."""
    return frame.astype({column: "category" for column in _TEXT if column in frame})


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The frame at `path`.

    Raises:
        InputError: the file is missing or unreadable, or its columns are not `columns` (None: any).
    """
    try:
        frame = pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro`, or take its study out of analyze.studies") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable parquet file: {' '.join(str(error).split())}") from None
    if columns is not None and tuple(frame.columns) != tuple(columns):
        raise InputError(f"{path}: expected the columns {', '.join(columns)}, got {', '.join(frame.columns)}")
    for column in columns or () if len(frame) else ():
        expected, other = ("text", is_numeric_dtype) if column in _TEXT else ("numbers", is_string_dtype)
        if other(frame[column]):
            raise InputError(f"{path}: column {column}: expected {expected}, got {frame[column].dtype}")
    return frame
