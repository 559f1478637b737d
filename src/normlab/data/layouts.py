"""The layouts in which image data sets come: official CIFAR batches (python, binary), parquet tables, image folders.

`read_dataset` reads a folder or archive once, finds out its layout from the names in it, and returns arrays.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from normlab.data.archives import Member, read_members
from normlab.data.catalog import Family
from normlab.data.cifar_files import read_binary_batch, read_parquet_table, read_python_batch
from normlab.data.pictures import SPLITS, Pictures
from normlab.specs.strict import InputError

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images (N, 3, 32, 32), labels (N,)


@dataclass(frozen=True)
class Dataset:
    """A data set in memory.

    Attributes:
        train: images and labels.
        test: images and labels.
        classes: names in label order.
        layout: python, binary, parquet, images, or generated.
        official: the bytes were those of the official files, by their published digests.
        jpeg: some images came as JPEG, so their pixels are not the originals.
        held_out: images and labels taken from the train split and set apart, or None.
        notes: a line each for what was not taken as it is.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    layout: str
    official: bool = False
    jpeg: bool = False
    held_out: Split | None = None
    notes: tuple[str, ...] = ()


def read_dataset(paths: Iterable[Path], family: Family | None, resize: bool = True) -> Dataset:
    """The data set in the given folder or archive, or in several files that belong together.

    Args:
        paths: usually one; the parquet mirrors have one file a split.
        family: the CIFAR data set that is expected, or None for any image folder.
        resize: take in images of another size than 32 × 32, resampled.

    Raises:
        InputError: unreadable or damaged, no known layout or several of them, a missing file, a missing or empty
            class, a corrupt image.
    """
    paths = tuple(paths)
    where = ", ".join(map(str, paths))
    pictures = Pictures(where, depths=(2, 3) if family and family.name == "cifar100" else (2,), resize=resize)
    files: dict[str, dict[str, bytes]] = {}
    for name, content in (member for path in paths for member in _members(path)):
        layout = _layout_of_file(PurePosixPath(name).name, family) if content is not None else None
        if layout is None:
            pictures.add(name, content)
        else:
            own, short = files.setdefault(layout, {}), PurePosixPath(name).name
            if short in own:
                raise InputError(f"{where}: {short} occurs twice")
            own[short] = content or b""
    if not pictures.empty:
        files["images"] = {}
    if len(files) != 1:
        raise InputError(f"{where}: {_found(files)}; accepted: {_accepted(family)}")
    layout = next(iter(files))
    if layout == "images":
        return _from_pictures(pictures, where, family)
    assert family is not None  # other layouts are recognized only for a known family
    return _from_batches(layout, files[layout], where, family)


def _members(path: Path) -> Iterator[Member]:
    if path.suffix == ".parquet" and path.is_file():
        yield path.name, path.read_bytes()
    else:
        yield from read_members(path)


def _layout_of_file(name: str, family: Family | None) -> str | None:
    if family is None:
        return None
    if any(name in files for files in family.python.values()):
        return "python"
    if any(name in files for files in family.binary.values()):
        return "binary"
    return "parquet" if name.endswith(".parquet") else None


def _found(files: dict[str, dict[str, bytes]]) -> str:
    return f"holds several layouts ({', '.join(sorted(files))})" if files else "no images found"


def _accepted(family: Family | None) -> str:
    images = "images as train/<class>/* and test/<class>/*"
    return images if family is None else f"{family.title} in the python, binary or parquet layout, or {images}"


def _from_pictures(pictures: Pictures, where: str, family: Family | None) -> Dataset:
    if family is not None:
        for split in SPLITS:
            expected, found = set(family.classes), set(pictures.classes(split))
            if expected != found:
                raise InputError(f"{where}: {split}: not the classes of {family.title}: {_differ(expected, found)}")
    train, test = pictures.classes("train"), pictures.classes("test")
    if train != test:
        raise InputError(f"{where}: train and test have different classes: {_differ(set(train), set(test))}")
    arrays = {split: pictures.arrays(split, train) for split in SPLITS}
    return Dataset(arrays["train"], arrays["test"], train, "images", jpeg=pictures.jpeg, notes=pictures.notes)


def _differ(expected: set[str], found: set[str]) -> str:
    missing, extra = sorted(expected - found), sorted(found - expected)
    parts = [f"missing {', '.join(missing[:5])}"] if missing else []
    return "; ".join(parts + ([f"not expected {', '.join(extra[:5])}"] if extra else []))


def _from_batches(layout: str, files: dict[str, bytes], where: str, family: Family) -> Dataset:
    splits: dict[str, Split] = {}
    official, jpeg = layout == "python", False
    for split in SPLITS:
        names = _names(layout, files, split, family)
        missing = ", ".join(name for name in names if name not in files)
        if missing or not names:
            missing = missing or f"a {split} table"
            raise InputError(f"{where}: {family.title} in the {layout} layout: {missing} is missing")
        parts: list[Split] = []
        for name in names:
            content, place = files.pop(name), f"{where}: {name}"
            if layout == "parquet":
                part, is_jpeg = read_parquet_table(content, (family.label_key.removesuffix("s"), "label"), place)
                jpeg |= is_jpeg
            elif layout == "binary":
                part = read_binary_batch(content, family.label_bytes, place)
            else:
                part = read_python_batch(content, family.label_key, place)
                official &= hashlib.md5(content).hexdigest() == family.python[split][name]
            parts.append(part)
        splits[split] = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        _check_labels(splits[split][1], f"{where}: {split}", family)
    return Dataset(splits["train"], splits["test"], family.classes, layout, official, jpeg)


def _names(layout: str, files: dict[str, bytes], split: str, family: Family) -> list[str]:
    if layout == "parquet":
        return sorted(name for name in files if split in re.split(r"[-_.]", name))
    return list(family.python[split] if layout == "python" else family.binary[split])


def _check_labels(labels: NDArray[np.int64], where: str, family: Family) -> None:
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= len(family.classes):
        raise InputError(f"{where}: labels are not those of {family.title} (0 … {len(family.classes) - 1})")
    empty = np.flatnonzero(np.bincount(labels, minlength=len(family.classes)) == 0)
    if len(empty):
        raise InputError(f"{where}: class {family.classes[empty[0]]!r} has no images")
