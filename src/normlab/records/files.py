"""The files of a record: the tidy tables in float32, in a few hundred kilobytes a run.

A file holds rows of one run or cell. `value` is float32, `step_size` and `learning_rate` are exact; a histogram is one
row, its ends and its counts, for its bins are equally wide. Read back, tables have the columns and types of
`normlab.tables`, and rows in the order probe, quantity, layer, step size, batch, step, each as it first appears.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from normlab.specs.strict import InputError
from normlab.tables.frames import HISTOGRAM_COLUMNS, read_parquet
from normlab.tables.rows import COLUMNS, KEYS

HISTOGRAMS_STORED = (*KEYS, "layer", "unit", "step", "low", "high", "counts")
_ORDER = ("probe", "quantity", "layer", "step_size", "batch")
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("study", "network", "norm_layer")]
    + [("learning_rate", pa.float64()), ("variant", pa.string()), ("seed", pa.int32()), ("probe", pa.string())]
    + [("layer", pa.string()), ("step_size", pa.float64()), ("step", pa.int32()), ("batch", pa.int32())]
    + [("quantity", pa.string()), ("value", pa.float32())]
)


def write_measurements(frame: pd.DataFrame, path: Path) -> None:
    """Write rows of the tidy schema; the same bytes for the same rows.

    Values beyond the range of float32 become infinite, as they would be to a reader of the figures.
    """
    codes = {f"_{name}": pd.factorize(frame[name], use_na_sentinel=False)[0] for name in _ORDER}
    ranked = frame.assign(**codes).sort_values([*codes, "step"], kind="stable")[list(COLUMNS)]
    ranked = ranked.astype({name: str for name in COLUMNS if _SCHEMA.field(name).type == pa.string()})
    with np.errstate(over="ignore"):
        ranked["value"] = ranked["value"].astype("float32")
    table = pa.Table.from_pandas(ranked, schema=_SCHEMA, preserve_index=False).replace_schema_metadata(None)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in COLUMNS if name not in ("value", "step")],
        column_encoding={"value": "BYTE_STREAM_SPLIT", "step": "DELTA_BINARY_PACKED"},
        data_page_size=8 * 2**20,  # one page a column: what repeats far apart is found
    )


def read_measurements(path: Path) -> pd.DataFrame:
    """The rows, values in float64 again (with the precision of float32).

    Raises:
        InputError: the file is missing, unreadable or none of these.
    """
    return read_parquet(path, COLUMNS).astype({"seed": "int64", "step": "int64", "batch": "int64", "value": "float64"})


def write_histograms(frame: pd.DataFrame, path: Path) -> None:
    """Write histograms with equally wide bins, a row each.

    Raises:
        ValueError: bins of different widths, or counts that are no whole numbers.
    """
    named = [*KEYS, "layer", "unit", "step"]
    rows = []
    for keys, bins in frame.groupby(named, sort=False, observed=True):
        edges, counts = np.append(bins["left"], bins["right"].iloc[-1]), bins["count"].to_numpy()
        even = np.linspace(edges[0], edges[-1], len(edges))
        if np.abs(edges - even).max() > 1e-6 * (edges[-1] - edges[0]) or (counts % 1 != 0).any():
            raise ValueError(f"histogram of {keys}: expected equally wide bins and whole counts")
        rows.append((*keys, edges[0], edges[-1], counts.astype("int32")))
    table = pd.DataFrame(rows, columns=list(HISTOGRAMS_STORED)).astype({"low": "float32", "high": "float32"})
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(arrow, path, compression="zstd", compression_level=19)


def read_histograms(path: Path) -> pd.DataFrame:
    """The histograms, a row a bin: columns `normlab.tables.frames.HISTOGRAM_COLUMNS`.

    Raises:
        InputError: the file is missing, unreadable or none of these.
    """
    stored = read_parquet(path, HISTOGRAMS_STORED)
    if stored.empty:
        return pd.DataFrame(columns=list(HISTOGRAM_COLUMNS))
    named = [name for name in HISTOGRAMS_STORED if name not in ("low", "high", "counts")]
    counts = stored["counts"].to_list()
    ends = zip(stored["low"], stored["high"], counts, strict=True)
    edges = [np.linspace(low, high, len(bins) + 1) for low, high, bins in ends]
    rows = stored[named].loc[stored.index.repeat([len(bins) for bins in counts])].reset_index(drop=True)
    return rows.assign(
        left=np.concatenate([row[:-1] for row in edges]),
        right=np.concatenate([row[1:] for row in edges]),
        count=np.concatenate(counts).astype(float),
    )


def write_theory(frame: pd.DataFrame, path: Path) -> None:
    """Write a table of statements as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd", compression_level=19)


def same_table(path: Path, other: Path) -> bool:
    """Whether two files of a record hold the same rows, bit for bit (whatever library wrote them)."""
    try:
        return pq.read_table(path).equals(pq.read_table(other))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable parquet file: {' '.join(str(error).split())}") from None
