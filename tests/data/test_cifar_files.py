"""CIFAR files: the official forms are read, and a pickle never executes anything."""

import io
import os
import pickle
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.writers import binary_batch, images_and_labels, parquet_table, picture, python2_batch

from normlab.data.cifar_files import read_binary_batch, read_parquet_table, read_python_batch
from normlab.specs.strict import InputError


@pytest.fixture(scope="module")
def split() -> tuple[np.ndarray, np.ndarray]:
    return images_and_labels(10, 2, seed=0)


def same(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def test_the_official_pickle_of_python_2(split):
    content = python2_batch(*split)
    # the reference: Python's own unrestricted reader, on bytes written here, gives the same array
    trusted = pickle.loads(content, encoding="latin1")
    assert np.array_equal(trusted["data"].reshape(-1, 3, 32, 32), split[0])
    assert same(read_python_batch(content, "labels", "x"), split)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("key", [str, str.encode])
def test_batches_pickled_by_python_3(split, protocol: int, key):
    record = {key("data"): split[0].reshape(20, -1), key("fine_labels"): split[1].tolist(), key("batch_label"): "x"}
    assert same(read_python_batch(pickle.dumps(record, protocol), "fine_labels", "x"), split)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "labels",
    [
        np.asarray,
        list,
        lambda labels: labels.astype(np.uint8),
        lambda labels: list(labels.astype(">i2")),
        lambda labels: labels.astype(">i4"),
    ],
    ids=["array", "numbers of numpy", "bytes", "big-endian numbers", "big-endian array"],
)
def test_batches_of_any_numpy(split, protocol: int, order: str, labels):
    record = {"data": np.asarray(split[0].reshape(20, -1), order=order), "labels": labels(split[1])}
    assert same(read_python_batch(pickle.dumps(record, protocol), "labels", "x"), split)


def test_a_batch_of_the_official_size_is_read_in_a_moment(split):
    images = np.repeat(split[0], 500, axis=0)
    content = python2_batch(images, np.repeat(split[1], 500))
    begun = time.perf_counter()
    read_python_batch(content, "labels", "x")
    assert time.perf_counter() - begun < 5  # a tenth of a second on an idle machine


class Exploit:
    """Pickles to a call that would create a file."""

    def __init__(self, call, *arguments) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "call",
    [os.system, exec, eval, np.load, np.fromfile, pickle.loads, getattr, __import__, open],
    ids=lambda call: call.__name__,
)
def test_a_pickle_that_calls_anything_is_refused_unexecuted(tmp_path: Path, monkeypatch, split, call, nested: bool):
    monkeypatch.chdir(tmp_path)
    hostile = Exploit(call, "open('owned', 'w')")
    record = {"data": split[0].reshape(20, -1), "labels": [hostile] if nested else hostile}
    with pytest.raises(InputError, match=r"x: not a CIFAR batch: it asks for \w+\.\w+"):
        read_python_batch(pickle.dumps(record), "labels", "x")
    assert os.listdir(tmp_path) == []


START = b"\x80\x02}("


def doubled(times: int, empty: bytes, twice: bytes) -> bytes:
    """Dictionary entries "a" whose value holds the one before twice: 2**times entries when unfolded."""
    steps = [b"U\x01a" + twice % (i, i) + b"q" + bytes([i + 1]) for i in range(times)]
    return b"U\x01a" + empty + b"q\x00" + b"".join(steps)


TUPLES = doubled(40, b")", b"h%ch%c\x86")
# each says what a reader that trusts the bytes would do
BOMBS = {
    "reserves 4 GB for the memo": START + b"U\x04data]r\xff\xff\xff\x0fU\x06labels]u.",
    "unfolds a list of 2**30 entries": START + doubled(30, b"]", b"](h%ch%ce") + b"U\x04datah\x1eU\x06labels]u.",
    "hashes a tuple of 2**40 entries": START + TUPLES + b"h(K\x01u.",
    "prints a type of 2**40 entries": START + TUPLES + b"U\x04datacnumpy\ndtype\nh(\x85Ru.",
    "writes one text a thousand times": START + b"U\x01aX\x00\x00\x10\x00" + b"a" * (1 << 20) + b"q\x00U\x04data](" + (
        b"c_codecs\nencode\nh\x00U\x06latin1\x86R" * 1000
    ) + b"eu.",
    "announces 2 GB of text": START + b"X\xff\xff\xff\x7fabc",
    "announces 2 GB of a number": START + b"\x8b\xff\xff\xff\x7f1",
    "announces 2**62 bytes": START + b"\x8e" + b"\xff" * 7 + b"\x3fabc",
    "has 2**60 rows of nothing": pickle.dumps({"data": np.zeros((0, 3072), np.uint8), "labels": []}, 3).replace(
        b"K\x00M\x00\x0c\x86", b"\x8a\x08" + b"\x00" * 7 + b"\x10K\x00\x86"
    ),
    "is millions of instructions of nothing": START + b"U\x04data](" + b"N" * 2_000_000 + b"e.",
    "is marks without end": START + b"(" * 1_000_000 + b".",
}  # fmt: skip
REFUSED = {
    "reserves 4 GB for the memo": "expected N rows of 3072 bytes and N labels",
    "unfolds a list of 2**30 entries": "neither an array nor a list of whole numbers",
    "hashes a tuple of 2**40 entries": "a key that is no string",
    "prints a type of 2**40 entries": "array of type a tuple",
    "writes one text a thousand times": "more text than it has bytes",
    "has 2**60 rows of nothing": "expected N rows of 3072 bytes and N labels",
    "is millions of instructions of nothing": "more than 2000000 instructions",
    "is marks without end": "more than 16 open marks",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_pickle_that_asks_for_memory_or_time_without_bound_is_refused(bomb: str):
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        with pytest.raises(InputError, match=REFUSED.get(bomb, "x: not a CIFAR batch: ")) as caught:
            read_python_batch(BOMBS[bomb], "labels", "x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30 * len(BOMBS[bomb]) + (1 << 22)
    assert time.perf_counter() - begun < 60  # with memory traced; without, below three seconds
    assert len(str(caught.value)) < 400


def test_arrays_of_objects_other_types_and_impossible_shapes_are_refused(split):
    good = python2_batch(*split)
    for data in (np.array([object]), np.zeros((20, 3072), np.float32), np.zeros((20, 3, 32, 32), np.uint8)):
        with pytest.raises(InputError, match="not a CIFAR batch"):
            read_python_batch(pickle.dumps({"data": data, "labels": [0] * 20}), "labels", "x")
    with pytest.raises(InputError, match=r"expected N rows of 3072 bytes and N labels, got .* of int32"):
        read_python_batch(pickle.dumps({"data": np.zeros((20, 3072), np.int32), "labels": [0] * 20}), "labels", "x")
    images = np.zeros((20, 3072), np.uint8)
    for labels in ([0] * 19 + [[0]], [0.0] * 20, ["0"] * 20, np.zeros(20), {}, None, [True] * 20):
        with pytest.raises(InputError, match="not a CIFAR batch"):
            read_python_batch(pickle.dumps({"data": images, "labels": labels}), "labels", "x")
    with pytest.raises(InputError, match="cannot reshape"):
        read_python_batch(good.replace(b"J\x14\x00\x00\x00", b"J\xff\xff\xff\x7f"), "labels", "x")
    with pytest.raises(InputError, match="expected N rows of 3072 bytes and N labels"):
        read_python_batch(python2_batch(split[0], split[1][:-1]), "labels", "x")
    with pytest.raises(InputError, match="not a CIFAR batch: 'fine_labels'"):
        read_python_batch(good, "fine_labels", "x")
    for text in (pickle.dumps([1, 2]), b"", b"nonsense", good[:-400], good[: len(good) // 2]):
        with pytest.raises(InputError, match="not a CIFAR batch"):
            read_python_batch(text, "labels", "x")


@pytest.mark.parametrize("label_bytes", [1, 2])
def test_binary_rows(split, label_bytes: int):
    content = binary_batch(*split, label_bytes)
    assert same(read_binary_batch(content, label_bytes, "x"), split)
    for damaged in (content[:-1], b"", content + b"\0"):
        with pytest.raises(InputError, match=f"expected rows of {3072 + label_bytes} bytes"):
            read_binary_batch(damaged, label_bytes, "x")


@pytest.mark.parametrize(("image", "label"), [("img", "label"), ("image", "fine_label")])
def test_parquet_tables(split, image: str, label: str):
    table, jpeg = read_parquet_table(parquet_table(*split, label=label, image=image), ("fine_label", "label"), "x")
    assert same(table, split)
    assert not jpeg


def test_parquet_that_is_damaged_or_has_other_columns_is_refused(split):
    def table(**columns: object) -> bytes:
        stream = io.BytesIO()
        pq.write_table(pa.table(columns), stream)
        return stream.getvalue()

    png, jpg = picture(split[0][0]), picture(split[0][0], "JPEG")
    assert read_parquet_table(table(img=[png, jpg], label=[0, 1]), ("label",), "x")[1]  # JPEG is noticed
    cases = {
        "expected columns img and label, got a": table(a=[1]),
        "column label must hold integers": table(img=[png], label=["cat"]),
        "row 1 holds no encoded image": table(img=[png, None], label=[0, 1]),
        "row 1: a corrupt or unknown image": table(img=[png, png[:60]], label=[0, 1]),
        "not a readable parquet table": table(img=[png], label=[0])[:-20],
    }
    for message, content in cases.items():
        with pytest.raises(InputError, match=message):
            read_parquet_table(content, ("label",), "x")
