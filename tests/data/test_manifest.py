"""The manifest says what the arrays are, exactly and in the same bytes every time."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.data.writers import images_and_labels

from normlab.data.images import load_images
from normlab.data.layouts import Dataset
from normlab.data.manifest import channel_statistics, content_digest, describe, write_dataset
from normlab.specs.strict import InputError

TRAIN, TEST = images_and_labels(3, 4, seed=0), images_and_labels(3, 2, seed=1)
DATASET = Dataset(TRAIN, TEST, ("a", "b", "ü"), "images")


def test_channel_statistics_are_the_mean_and_population_deviation():
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (2345, 3, 32, 32), dtype=np.uint8)  # more than two blocks
    mean, std = channel_statistics(images)
    scaled = images.astype(np.float64) / 255
    # float64 sums of 2.4 million terms are off by less than 1e-12; ours are exact
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-11)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-11)


def test_a_constant_channel_is_refused():
    images = TRAIN[0].copy()
    images[:, 1] = 9
    with pytest.raises(InputError, match="channel 1: every pixel of every training image has the same value"):
        channel_statistics(images)


def test_the_manifest_describes_the_arrays():
    manifest = describe(DATASET, "title", "folder", {"train_per_class": 0})
    assert manifest["counts"] == {"train": 12, "test": 6}
    assert manifest["counts_per_class"]["test"] == {"a": 2, "b": 2, "ü": 2}
    assert manifest["classes"] == ["a", "b", "ü"]
    assert (manifest["official"], manifest["jpeg"], manifest["source"]) == (False, False, "folder")
    assert manifest["mean"] == channel_statistics(TRAIN[0])[0]


def test_the_digest_changes_with_any_pixel_label_or_split():
    digests = {content_digest(DATASET)}
    for split in ("train", "test"):
        for position in (0, 1):
            arrays = [array.copy() for array in getattr(DATASET, split)]
            arrays[position].flat[-1] ^= 1
            digests.add(content_digest(dataclasses.replace(DATASET, **{split: tuple(arrays)})))
    digests.add(content_digest(dataclasses.replace(DATASET, train=TEST, test=TRAIN)))
    assert len(digests) == 6


def test_what_is_written_is_what_is_loaded_and_byte_identical(tmp_path: Path):
    manifest = describe(DATASET, "title", "folder", {})
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_dataset(tmp_path / name, DATASET, manifest)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert json.loads(contents[0]["manifest.json"]) == manifest
    split = load_images(tmp_path / "one", "train")
    assert np.array_equal(split.images.numpy(), TRAIN[0])
    assert np.array_equal(split.labels.numpy(), TRAIN[1])
    # normalized by its own statistics the train split has mean 0 and deviation 1; float32 over 12,288 values a channel
    inputs = split.normalize(split.images)
    assert inputs.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (inputs.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5
