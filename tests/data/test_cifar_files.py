"""CIFAR files: the official forms are read, and a pickle never executes anything."""

import io
import os
import pickle
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


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("key", [str, str.encode])
def test_batches_pickled_by_python_3(split, protocol: int, key):
    record = {key("data"): split[0].reshape(20, -1), key("fine_labels"): split[1].tolist(), key("batch_label"): "x"}
    assert same(read_python_batch(pickle.dumps(record, protocol), "fine_labels", "x"), split)


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


def test_arrays_of_objects_other_types_and_impossible_shapes_are_refused(split):
    good = python2_batch(*split)
    for data in (np.array([object]), np.zeros((20, 3072), np.float32), np.zeros((3072, 20), np.uint8).T):
        with pytest.raises(InputError, match="not a CIFAR batch"):
            read_python_batch(pickle.dumps({"data": data, "labels": [0] * 20}), "labels", "x")
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
