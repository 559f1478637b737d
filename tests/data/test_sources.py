"""Where the data comes from: generated, local, or from the first mirror that delivers it whole."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.data import writers
from tests.data.server import Page, serving
from tests.data.writers import CIFAR10, write_folder, write_tar

from normlab.data.catalog import Family
from normlab.data.download import Remote
from normlab.data.sources import prepare
from normlab.specs.data import DataSpec
from normlab.specs.strict import InputError

SPLITS = {"train": writers.images_and_labels(10, 3, seed=0), "test": writers.images_and_labels(10, 2, seed=1)}
PYTHON = writers.python_files(CIFAR10, SPLITS)
BINARY = writers.binary_files(CIFAR10, SPLITS)
PICTURES = writers.picture_files(CIFAR10.classes, SPLITS)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def prepared(spec: DataSpec, out: Path, family: Family = CIFAR10, **environ: str) -> dict:
    catalog = {"cifar10": family}
    return prepare(spec, out, downloads=out.parent / "downloads", environ=environ, catalog=catalog)


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def test_textures_need_nothing_and_ignore_the_variable(out: Path):
    spec = DataSpec("textures", seed=1, train_per_class=2, test_per_class=1)
    manifest = prepared(spec, out, NORMLAB_DATA="/nowhere")
    assert manifest["title"] == "generated textures"
    assert manifest["counts"] == {"train": 20, "test": 10}
    assert manifest["settings"] == {"train_per_class": 2, "test_per_class": 1, "seed": 1}
    assert sorted(os.listdir(out)) == [
        "manifest.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy",
    ]  # fmt: skip


def test_the_variable_replaces_the_path(out: Path, tmp_path: Path):
    archive = write_tar(tmp_path / "x.tar.gz", PICTURES)
    manifest = prepared(DataSpec("cifar10", path="/nowhere"), out, NORMLAB_DATA=str(archive))
    assert manifest["title"] == "CIFAR-10 (unofficial copy)"
    assert manifest["layout"] == "images"
    with pytest.raises(InputError, match="/nowhere: no such file or folder"):
        prepared(DataSpec("cifar10", path="/nowhere"), out)


def test_only_the_official_bytes_are_called_official(out: Path, tmp_path: Path):
    archive = write_tar(tmp_path / "x.tar.gz", BINARY)
    spec = DataSpec("cifar10", path=str(archive))
    assert prepared(spec, out)["title"] == "CIFAR-10 (unofficial copy)"
    family = dataclasses.replace(CIFAR10, archives={"binary": md5(archive.read_bytes())})
    assert prepared(spec, out, family)["title"] == "CIFAR-10"
    # the unpacked python layout, by the digest of each file
    folder = DataSpec("cifar10", path=str(write_folder(tmp_path / "folder", PYTHON)))
    assert not prepared(folder, out)["official"]
    digests = {
        split: {name: md5(PYTHON[f"batches-py/{name}"])[4:] for name in names}
        for split, names in CIFAR10.python.items()
    }
    assert prepared(folder, out, dataclasses.replace(CIFAR10, python=digests))["official"]
    digests["train"]["data_batch_4"] = "0"
    assert not prepared(folder, out, dataclasses.replace(CIFAR10, python=digests))["official"]


def test_a_jpeg_copy_says_so_also_as_a_plain_folder(out: Path, tmp_path: Path):
    archive = write_tar(tmp_path / "x.tar", writers.picture_files(CIFAR10.classes, SPLITS, "JPEG"), "w")
    for source in ("cifar10", "folder"):
        manifest = prepared(DataSpec(source, path=str(archive)), out)
        assert (manifest["title"], manifest["jpeg"], manifest["official"]) == ("CIFAR-10 (JPEG copy)", True, False)
    names = {name.replace("cat", "cow"): content for name, content in PICTURES.items()}
    assert prepared(DataSpec("folder", path=str(write_folder(tmp_path / "y", names))), out)["title"] == "image folder"


def test_caps_keep_the_first_images_of_each_class(out: Path, tmp_path: Path):
    archive = write_tar(tmp_path / "x.tar.gz", PYTHON)
    manifest = prepared(DataSpec("cifar10", path=str(archive), train_per_class=2, test_per_class=9), out)
    assert manifest["counts"] == {"train": 20, "test": 20}
    images, labels = SPLITS["train"]
    kept = [i for i in range(30) if (labels[:i] == labels[i]).sum() < 2]
    assert np.array_equal(np.load(out / "train_images.npy"), images[kept])
    assert np.array_equal(np.load(out / "train_labels.npy"), labels[kept])


def test_the_expected_digest_of_a_local_archive(out: Path, tmp_path: Path):
    archive = write_tar(tmp_path / "x.tar.gz", PYTHON)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    prepared(DataSpec("cifar10", path=str(archive), sha256=digest), out)
    with pytest.raises(InputError, match=rf"data\.sha256: .* has wrong checksum {digest}, expected {'0' * 64}"):
        prepared(DataSpec("cifar10", path=str(archive), sha256="0" * 64), out)
    with pytest.raises(InputError, match="is not an archive file, so it has no checksum"):
        prepared(DataSpec("cifar10", path=str(tmp_path), sha256=digest), out)
    with pytest.raises(InputError, match=r"neither data\.path nor NORMLAB_DATA names one"):
        prepared(DataSpec("cifar10", sha256=digest), out)


def test_a_folder_source_without_path(out: Path):
    with pytest.raises(InputError, match=r"data\.path: source 'folder' needs a folder or archive"):
        prepared(DataSpec("folder"), out)


def test_mirrors_are_tried_until_one_delivers(out: Path, tmp_path: Path):
    python = write_tar(tmp_path / "p.tar.gz", PYTHON).read_bytes()
    pages = {
        "/missing.tar.gz": Page(python, status=404),
        "/changed.tar.gz": Page(python[:-1] + b"!"),
        "/good.tar.gz": Page(python, cuts=[1000]),
    }
    with serving(pages) as server:
        mirrors = tuple((Remote(server.url + path, "own.tar.gz", (md5(python),)),) for path in pages)
        family = dataclasses.replace(CIFAR10, archives={"python": md5(python)}, mirrors=mirrors)
        manifest = prepared(DataSpec("cifar10"), out, family)
        assert (manifest["title"], manifest["official"]) == ("CIFAR-10", True)
        assert np.array_equal(np.load(out / "train_images.npy"), SPLITS["train"][0])
        assert os.listdir(tmp_path / "downloads") == ["own.tar.gz"]
        asked = len(server.requests)
        assert asked == 4
        prepared(DataSpec("cifar10"), out, family)  # what was received is kept
        assert len(server.requests) == asked


def test_mirrors_of_the_settings_come_first_and_are_held_to_the_official_digest(out: Path, tmp_path: Path):
    binary = write_tar(tmp_path / "b.tar.gz", BINARY).read_bytes()
    with serving({"/mine.tar.gz": Page(binary), "/other": Page(binary)}) as server:
        family = dataclasses.replace(
            CIFAR10,
            archives={"python": "md5:0", "binary": md5(binary)},
            mirrors=((Remote(server.url + "/other", "x", (md5(binary),)),),),
        )
        spec = DataSpec("cifar10", mirrors=(f"{server.url}/mine.tar.gz",))
        assert prepared(spec, out, family)["official"]
        assert server.requests == [("/mine.tar.gz", None)]
        changed = dataclasses.replace(family, archives={"python": "md5:0"}, mirrors=())
        (tmp_path / "downloads" / "cifar10-mine.tar.gz").unlink()
        with pytest.raises(InputError, match="wrong checksum, expected md5:0"):
            prepared(spec, out, changed)


def test_copies_as_images_or_parquet_are_taken_but_not_called_official(out: Path, tmp_path: Path):
    pictures = write_tar(tmp_path / "i.tgz", PICTURES).read_bytes()
    pages = {"/broken.tgz": Page(b"<html>please log in</html>")}
    pages |= {f"/{split}.parquet": Page(writers.parquet_table(*arrays)) for split, arrays in SPLITS.items()}
    with serving(pages) as server:
        pair = tuple(Remote(f"{server.url}/{split}.parquet", f"{split}.parquet") for split in SPLITS)
        broken = (Remote(f"{server.url}/broken.tgz", "broken.tgz"),)
        family = dataclasses.replace(CIFAR10, mirrors=(broken, pair))
        manifest = prepared(DataSpec("cifar10"), out, family)
        assert (manifest["title"], manifest["layout"]) == ("CIFAR-10 (unofficial copy)", "parquet")
        assert np.array_equal(np.load(out / "test_images.npy"), SPLITS["test"][0])
        assert sorted(os.listdir(tmp_path / "downloads")) == ["test.parquet", "train.parquet"]
    with serving({"/i.tgz": Page(pictures)}) as server:
        one = (Remote(f"{server.url}/i.tgz", "i.tgz", (md5(pictures),)),)
        assert not prepared(DataSpec("cifar10"), out, dataclasses.replace(CIFAR10, mirrors=(one,)))["official"]


def test_an_impossible_download_names_the_ways_out(out: Path):
    with serving({}) as server:
        mirrors = tuple((Remote(f"{server.url}/{i}", str(i), ("md5:0",)),) for i in range(3))
        with pytest.raises(InputError) as error:
            prepared(DataSpec("cifar10"), out, dataclasses.replace(CIFAR10, mirrors=mirrors))
    line = str(error.value)
    assert "\n" not in line
    for part in ("any of 3 mirrors", f"{server.url}/0: Not Found", "NORMLAB_DATA", "data.path", "PRESET=quick"):
        assert part in line


def test_the_result_depends_on_content_only(tmp_path: Path):
    contents = []
    for name, write in (("one", write_tar), ("two", write_folder)):
        (tmp_path / name).mkdir()
        prepared(DataSpec("cifar10", path=str(write(tmp_path / f"{name}-data", PICTURES))), tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert str(tmp_path) not in json.dumps(json.loads(contents[0]["manifest.json"]))


def test_images_of_one_class_are_refused(out: Path, tmp_path: Path):
    cats = {name: content for name, content in PICTURES.items() if "/cat/" in name}
    with pytest.raises(InputError, match="expected at least two classes, got cat alone"):
        prepared(DataSpec("folder", path=str(write_folder(tmp_path / "cats", cats))), out)
