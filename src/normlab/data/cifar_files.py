"""The files of CIFAR copies: pickled batches, binary batches, parquet tables."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from normlab.data.pickles import StoredArray, read_pickle
from normlab.data.pictures import decode_picture
from normlab.specs.strict import InputError

PIXELS = 3 * 32 * 32
ROW_LIMIT = 1_000_000
Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_python_batch(content: bytes, label_key: str, where: str) -> Split:
    """A pickled batch {b"data": uint8 (N, 3072), label_key: N integers} of the official python layout.

    Copies that Python 3 and any numpy wrote are read too: labels as an array or as numbers of numpy, columns first.

    Raises:
        InputError: not such a pickle; one that asks for any other name than the array's is refused unexecuted.
    """
    try:
        record = read_pickle(content)
        images, labels = _array(record["data"]), _array(record[label_key])
    except Exception as error:  # hostile bytes can make a pickle fail in any way
        line = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{where}: not a CIFAR batch: {line[:300]}") from None
    if images.ndim != 2 or images.shape[1] != PIXELS or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise InputError(
            f"{where}: expected N rows of {PIXELS} bytes and N labels, got {images.shape} of {images.dtype}, "
            f"{labels.shape}"
        )
    return np.ascontiguousarray(images).reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _array(value: object) -> NDArray[np.integer]:
    """An array of a pickle, or its list of whole numbers."""
    if isinstance(value, StoredArray):
        return value.value
    # a list in a list is refused unread: numpy would unfold it, without bound if it holds itself
    if not isinstance(value, list) or not all(type(entry) is int for entry in value):
        raise ValueError("data or labels are neither an array nor a list of whole numbers")
    return np.asarray(value, dtype=np.int64)


def read_binary_batch(content: bytes, label_bytes: int, where: str) -> Split:
    """Rows of `label_bytes` labels, the last one being used, and 3072 pixels: the official binary layout.

    Raises:
        InputError: empty, or not a whole number of rows.
    """
    row = label_bytes + PIXELS
    if not content or len(content) % row:
        raise InputError(f"{where}: expected rows of {row} bytes, got {len(content)} bytes; truncated?")
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, row)
    return rows[:, label_bytes:].reshape(-1, 3, 32, 32), rows[:, label_bytes - 1].astype(np.int64)


def read_parquet_table(content: bytes, label_columns: tuple[str, ...], where: str) -> tuple[Split, bool]:
    """A table with a column `img` or `image` of encoded images and an integer label column, in row order.

    Args:
        content: the parquet file.
        label_columns: accepted names, the first that exists is used.
        where: named in error messages.

    Returns:
        images and labels; whether any image is a JPEG.

    Raises:
        InputError: not such a table, or a corrupt image.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        image = next((name for name in ("img", "image") if name in names), None)
        label = next((name for name in label_columns if name in names), None)
        if image is None or label is None:
            raise InputError(f"{where}: expected columns img and {label_columns[0]}, got {', '.join(names)[:200]}")
        if file.metadata.num_rows > ROW_LIMIT:
            raise InputError(f"{where}: {file.metadata.num_rows} rows, at most {ROW_LIMIT} are accepted")
        labels = file.read(columns=[label]).column(label).to_numpy()
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged files fail in any way: ArrowInvalid, OSError, ValueError, UnicodeDecodeError
        raise InputError(f"{where}: not a readable parquet table: {' '.join(str(error).split())[:200]}") from None
    if labels.dtype.kind not in "iu":
        raise InputError(f"{where}: column {label} must hold integers, got {labels.dtype}")
    images = np.empty((len(labels), 3, 32, 32), dtype=np.uint8)
    jpeg = False
    cells = tqdm(_cells(file, image, where), "decode images", len(labels), file=sys.stderr, disable=None, delay=1)
    for row, value in enumerate(cells):
        encoded = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(encoded, bytes):
            raise InputError(f"{where}: row {row} holds no encoded image")
        picture = decode_picture(encoded, f"{where}: row {row}")
        if picture.size != (32, 32):
            raise InputError(f"{where}: row {row}: expected 32×32 pixels, got {picture.size[0]}×{picture.size[1]}")
        jpeg |= picture.jpeg
        images[row] = np.frombuffer(picture.pixels, dtype=np.uint8).reshape(32, 32, 3).transpose(2, 0, 1)
    return (images, labels.astype(np.int64)), jpeg


def _cells(file: Any, column: str, where: str) -> Iterator[Any]:
    """The values of a column, a few rows at a time: equal cells are stored once and take their full size when read."""
    try:
        for batch in file.iter_batches(batch_size=64, columns=[column]):
            yield from batch.column(0).to_pylist()
    except (GeneratorExit, InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{where}: not a readable parquet table: {' '.join(str(error).split())[:200]}") from None
