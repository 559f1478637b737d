"""Small data sets written in every layout that is read: what the tests in this folder take their files from."""

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from normlab.data.catalog import Family, load_catalog

CIFAR10 = load_catalog()["cifar10"]
CIFAR100 = load_catalog()["cifar100"]


def images_and_labels(classes: int, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random pixels; labels in shuffled order, each class `per_class` times."""
    draws = np.random.default_rng(seed)
    labels = draws.permutation(np.repeat(np.arange(classes), per_class)).astype(np.int64)
    return draws.integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8), labels


def python2_batch(images: np.ndarray, labels: np.ndarray, label_key: str = "labels") -> bytes:
    """A batch with the opcodes that Python 2 and its numpy wrote: the form of the official files."""

    def short(text: str) -> bytes:
        return b"U" + bytes([len(text)]) + text.encode()

    content = images.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short("b") + b"\x87R"
        b"(K\x01J" + struct.pack("<i", len(images)) + b"J" + struct.pack("<i", 3072) + b"\x86cnumpy\ndtype\n"
        + short("u1") + b"K\x00K\x01\x87R(K\x03" + short("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", len(content)) + content + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + short("data") + array + short(label_key) + numbers + b"u."


def binary_batch(images: np.ndarray, labels: np.ndarray, label_bytes: int) -> bytes:
    """Rows of labels and pixels; a coarse label, if any, is a number that must not be used."""
    prefix = np.full((len(labels), label_bytes), 7, dtype=np.uint8)
    prefix[:, -1] = labels
    return np.concatenate([prefix, images.reshape(len(images), -1)], axis=1).tobytes()


def picture(image: np.ndarray, kind: str = "PNG", size: tuple[int, int] | None = None) -> bytes:
    """One (3, 32, 32) image, encoded."""
    stream = io.BytesIO()
    decoded = Image.fromarray(image.transpose(1, 2, 0))
    (decoded.resize(size) if size else decoded).save(stream, kind)
    return stream.getvalue()


def python_files(family: Family, splits: dict) -> dict[str, bytes]:
    """The official python layout; CIFAR-10's training images divided over five files."""
    files = {}
    for split, (images, labels) in splits.items():
        names = list(family.python[split])
        for name, part in zip(names, np.array_split(np.arange(len(labels)), len(names)), strict=True):
            files[f"batches-py/{name}"] = python2_batch(images[part], labels[part], family.label_key)
    return files | {"batches-py/readme.html": b"<html>"}


def binary_files(family: Family, splits: dict) -> dict[str, bytes]:
    """The official binary layout."""
    files = {}
    for split, (images, labels) in splits.items():
        names = family.binary[split]
        for name, part in zip(names, np.array_split(np.arange(len(labels)), len(names)), strict=True):
            files[f"batches-bin/{name}"] = binary_batch(images[part], labels[part], family.label_bytes)
    return files


def picture_files(classes: tuple[str, ...], splits: dict, kind: str = "PNG") -> dict[str, bytes]:
    """train/<class>/<number>.png and the same of test."""
    return {
        f"{split}/{classes[label]}/{index:04d}.{kind.lower()}": picture(image, kind)
        for split, (images, labels) in splits.items()
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    }


def parquet_table(images: np.ndarray, labels: np.ndarray, label: str = "label", image: str = "img") -> bytes:
    """A table with encoded images as the hub of data sets serves them."""
    cells = [{"bytes": picture(one), "path": None} for one in images]
    table = pa.table({image: cells, label: labels}).replace_schema_metadata({"huggingface": json.dumps({})})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    """The files below a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    """The files as a tar archive."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """The files as a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
