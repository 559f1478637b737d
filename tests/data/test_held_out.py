"""Images set apart: a share of each class, the same ones every time, and nothing of them left in the train split."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.data.writers import images_and_labels

from normlab.data.held_out import choose_held_out, hold_out
from normlab.data.images import load_held_out, load_images
from normlab.data.layouts import Dataset
from normlab.data.manifest import content_digest
from normlab.data.sources import prepare
from normlab.specs.data import DataSpec
from normlab.specs.strict import InputError


def _prepare(folder: Path, held_out: int, seed: int = 5) -> dict:
    folder.mkdir()
    spec = DataSpec("textures", seed=seed, train_per_class=8, test_per_class=2, held_out=held_out)
    return prepare(spec, folder, downloads=folder / "none")


def test_train_and_held_out_are_the_whole_split_and_share_no_image(tmp_path: Path) -> None:
    whole = _prepare(tmp_path / "whole", 0)
    manifest = _prepare(tmp_path / "parts", 20)
    everything, rest = load_images(tmp_path / "whole", "train"), load_images(tmp_path / "parts", "train")
    apart = load_held_out(tmp_path / "parts")
    assert apart is not None
    assert load_held_out(tmp_path / "whole") is None
    chosen = np.array(manifest["held_out"])
    others = np.setdiff1d(np.arange(80), chosen)
    assert len(chosen) == 20
    assert np.array_equal(apart.images.numpy(), everything.images.numpy()[chosen])
    assert np.array_equal(rest.images.numpy(), everything.images.numpy()[others])
    assert np.array_equal(rest.labels.numpy(), everything.labels.numpy()[others])
    assert np.bincount(apart.labels.numpy()).tolist() == [2] * 10
    assert manifest["counts"] == {"train": 60, "test": 20, "held_out": 20}
    assert "held_out" not in whole
    assert whole["counts"] == {"train": 80, "test": 20}
    # inputs are normalized by what is trained on, nothing else
    assert rest.mean == apart.mean
    assert rest.mean != everything.mean
    assert manifest["digest"] != whole["digest"]


def test_the_choice_is_repeated_by_seed_and_by_nothing_else() -> None:
    labels = np.arange(90) % 3
    first = choose_held_out(labels, 3, 30, seed=0)
    assert np.array_equal(first, choose_held_out(labels, 3, 30, seed=0))
    assert not np.array_equal(first, choose_held_out(labels, 3, 30, seed=1))
    # a larger choice holds the smaller one
    assert set(choose_held_out(labels, 3, 15, seed=0)) < set(first)


@pytest.mark.parametrize(("count", "expected"), [(10, [5, 3, 2]), (11, [6, 3, 2]), (1, [1, 0, 0]), (0, [0, 0, 0])])
def test_shares_follow_the_sizes_of_the_classes(count: int, expected: list[int]) -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    chosen = choose_held_out(labels, 3, count, seed=0)
    assert np.bincount(labels[chosen], minlength=3).tolist() == expected


@pytest.mark.parametrize("count", [95, 100, 1000])
def test_a_class_without_an_image_to_train_on_is_refused(count: int) -> None:
    labels = np.repeat([0, 1], [99, 1])
    with pytest.raises(InputError, match=rf"data\.held_out: must leave each class an image .* got {count} of 100"):
        choose_held_out(labels, 2, count, seed=0)


def test_the_digest_covers_the_images_held_out() -> None:
    dataset = Dataset(images_and_labels(3, 4, seed=0), images_and_labels(3, 2, seed=1), ("a", "b", "c"), "images")
    apart = hold_out(dataset, np.array([1, 5]))
    assert apart.held_out is not None
    changed = hold_out(dataset, np.array([1, 5]))
    assert changed.held_out is not None
    changed.held_out[0][0, 0, 0, 0] ^= 1
    assert len({content_digest(d) for d in (dataset, apart, changed)}) == 3
    assert hold_out(dataset, np.array([], dtype=np.int64)) is dataset


def test_the_manifest_of_the_default_has_nothing_new(tmp_path: Path) -> None:
    manifest = _prepare(tmp_path / "whole", 0)
    assert "held_out" not in json.dumps(manifest)
    assert not list((tmp_path / "whole").glob("held_out*"))
