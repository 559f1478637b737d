"""One data set in every layout gives the same arrays; what is incomplete or mixed is refused."""

from pathlib import Path

import numpy as np
import pytest
from tests.data import writers
from tests.data.writers import CIFAR10, CIFAR100, write_folder, write_tar, write_zip

from normlab.data.layouts import Dataset, read_dataset
from normlab.specs.strict import InputError

SPLITS = {"train": writers.images_and_labels(10, 3, seed=0), "test": writers.images_and_labels(10, 2, seed=1)}
HUNDRED = {"train": writers.images_and_labels(100, 1, seed=0), "test": writers.images_and_labels(100, 1, seed=1)}
PYTHON = writers.python_files(CIFAR10, SPLITS)
BINARY = writers.binary_files(CIFAR10, SPLITS)
PICTURES = writers.picture_files(CIFAR10.classes, SPLITS)


def equal(dataset: Dataset, splits: dict, by_class: bool = False) -> bool:
    """Whether the arrays are the written ones; by class and position when they came as an image folder."""
    for (images, labels), (expected, expected_labels) in zip(
        (dataset.train, dataset.test), splits.values(), strict=True
    ):
        order = np.argsort(expected_labels, kind="stable") if by_class else slice(None)
        if not (np.array_equal(images, expected[order]) and np.array_equal(labels, expected_labels[order])):
            return False
    return True


@pytest.mark.parametrize("write", [write_folder, write_tar, write_zip])
@pytest.mark.parametrize("layout", ["python", "binary", "images"])
def test_cifar10_in_every_layout_and_container(tmp_path: Path, layout: str, write):
    files = {"python": PYTHON, "binary": BINARY, "images": PICTURES}[layout]
    dataset = read_dataset([write(tmp_path / "data", files)], CIFAR10)
    assert equal(dataset, SPLITS, by_class=layout == "images")
    assert (dataset.layout, dataset.official, dataset.jpeg) == (layout, False, False)
    assert dataset.classes == CIFAR10.classes


def test_cifar100_in_every_layout(tmp_path: Path):
    pictures = writers.picture_files(CIFAR100.classes, HUNDRED)
    nested = {  # the superclass folder of one mirror: train/<superclass>/<class>/
        "top/" + name.replace("/", f"/super{len(name) % 3}/", 1): content for name, content in pictures.items()
    }
    for number, files in enumerate(
        (writers.python_files(CIFAR100, HUNDRED), writers.binary_files(CIFAR100, HUNDRED), pictures, nested)
    ):
        dataset = read_dataset([write_tar(tmp_path / str(number), files)], CIFAR100)
        assert equal(dataset, HUNDRED, by_class=number > 1)
        assert dataset.classes == CIFAR100.classes


def test_parquet_as_two_files_or_a_folder_of_shards(tmp_path: Path):
    train, test = SPLITS["train"], SPLITS["test"]
    files = {
        "plain_text/train-00000-of-00002.parquet": writers.parquet_table(train[0][:11], train[1][:11]),
        "plain_text/train-00001-of-00002.parquet": writers.parquet_table(train[0][11:], train[1][11:]),
        "plain_text/test-00000-of-00001.parquet": writers.parquet_table(*test),
    }
    assert equal(read_dataset([write_folder(tmp_path / "shards", files)], CIFAR10), SPLITS)
    pair = {"a-train.parquet": writers.parquet_table(*train), "a-test.parquet": writers.parquet_table(*test)}
    folder = write_folder(tmp_path / "pair", pair)
    dataset = read_dataset([folder / name for name in pair], CIFAR10)
    assert equal(dataset, SPLITS)
    assert dataset.layout == "parquet"
    with pytest.raises(InputError, match="CIFAR-10 in the parquet layout: a test table is missing"):
        read_dataset([folder / "a-train.parquet"], CIFAR10)


def test_any_image_folder_names_its_own_classes(tmp_path: Path):
    splits = {"train": writers.images_and_labels(3, 2, seed=0), "test": writers.images_and_labels(3, 1, seed=1)}
    files = writers.picture_files(("b", "c", "a b"), splits, "JPEG")
    dataset = read_dataset([write_zip(tmp_path / "x.zip", files)], None)
    assert dataset.classes == ("a b", "b", "c")
    assert dataset.jpeg
    assert dataset.train[1].tolist() == [0, 0, 1, 1, 2, 2]


def without(files: dict[str, bytes], part: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if part not in name}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (without(PYTHON, "data_batch_3"), "CIFAR-10 in the python layout: data_batch_3 is missing"),
        (without(BINARY, "test_batch"), "CIFAR-10 in the binary layout: test_batch.bin is missing"),
        (PYTHON | BINARY, r"holds several layouts \(binary, python\); accepted: CIFAR-10 in the python"),
        (PYTHON | {"again/test_batch": b""}, "test_batch occurs twice"),
        ({"readme": b"x"}, "no images found; accepted: CIFAR-10 in the python, binary or parquet layout, or images"),
        (without(PICTURES, "/frog/"), "train: not the classes of CIFAR-10: missing frog"),
        (without(PICTURES, "test/frog/"), "test: not the classes of CIFAR-10: missing frog"),
        (without(PICTURES, "test/"), "no test/<class>/ folders"),
        (PICTURES | {"train/cow/0.png": next(iter(PICTURES.values()))}, "of CIFAR-10: not expected cow"),
        (PYTHON | {"batches-py/test_batch": writers.python2_batch(SPLITS["test"][0], SPLITS["test"][1] * 0)},
         "test: class 'automobile' has no images"),
        (PYTHON | {"batches-py/test_batch": writers.python2_batch(SPLITS["test"][0], SPLITS["test"][1] + 3)},
         "test: labels are not those of CIFAR-10"),
    ],
)  # fmt: skip
def test_incomplete_and_mixed_copies_are_refused(tmp_path: Path, files: dict[str, bytes], message: str):
    with pytest.raises(InputError, match=message):
        read_dataset([write_folder(tmp_path / "data", files)], CIFAR10)


def test_image_folders_whose_splits_differ_are_refused(tmp_path: Path):
    files = {"train/a/0.png": next(iter(PICTURES.values()))} | {"test/b/0.png": next(iter(PICTURES.values()))}
    with pytest.raises(InputError, match="train and test have different classes: missing a; not expected b"):
        read_dataset([write_folder(tmp_path / "data", files)], None)
    both = {**files, "test/a/0.png": files["train/a/0.png"], "train/b/0.png": files["train/a/0.png"]}
    root = write_folder(tmp_path / "both", both)
    read_dataset([root], None)
    (root / "test" / "c").mkdir()
    with pytest.raises(InputError, match="class folder test/c holds no images"):
        read_dataset([root], None)
    with pytest.raises(InputError, match="no images found; accepted: images as train/<class>"):
        read_dataset([write_folder(tmp_path / "python", PYTHON)], None)
