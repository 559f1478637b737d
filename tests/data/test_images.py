"""The batches of a run: a pure function of data, seed and step, the same for whoever asks, on every device."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.data.images import Batches, ImageSplit, load_images
from normlab.seeding import generator
from normlab.specs.strict import InputError


def split_of(count: int, device: str = "cpu") -> ImageSplit:
    draws = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=draws)
    # the label is the image's index, so that a batch tells which images it holds
    return ImageSplit(
        images.to(device), torch.arange(count).to(device), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), tuple("abc")
    )


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    for name, count in (("train", 12), ("test", 5)):
        np.save(tmp_path / f"{name}_images.npy", np.full((count, 3, 32, 32), 51, dtype=np.uint8))
        np.save(tmp_path / f"{name}_labels.npy", np.arange(count) % 2)
    manifest = {"classes": ["a", "b"], "mean": [0.1, 0.2, 0.3], "std": [0.1, 0.2, 0.4]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 40), seed=st.integers(0, 5), epoch=st.integers(0, 3))
def test_an_epoch_shows_each_image_at_most_once_and_drops_only_the_incomplete_rest(count, batch_size, seed, epoch):
    if batch_size > count:
        with pytest.raises(InputError, match=f"at most the {count} images of the split, got {batch_size}"):
            Batches(split_of(count), batch_size, seed)
        return
    batches = Batches(split_of(count), batch_size, seed)
    assert batches.per_epoch == count // batch_size
    steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
    seen = torch.cat([batches.at(step)[1] for step in steps])
    assert len(seen) == batches.per_epoch * batch_size
    assert len(seen.unique()) == len(seen)


def test_the_batch_of_a_step_does_not_depend_on_what_was_asked_before():
    steps = [0, 7, 3, 12, 3, 0, 25]
    shuffled = Batches(split_of(30), 4, seed=3, augment=True)
    for step in steps:
        fresh = Batches(split_of(30), 4, seed=3, augment=True)
        for one, other in zip(shuffled.at(step), fresh.at(step), strict=True):
            assert torch.equal(one, other)


def test_the_batch_does_not_read_or_move_the_global_random_state():
    batches = Batches(split_of(30), 4, seed=3, augment=True)
    torch.manual_seed(0)
    first, state = batches.at(9)[0], torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(first, batches.at(9)[0])
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())


def test_the_order_is_the_documented_stream():
    batches = Batches(split_of(10), 3, seed=8)
    order = torch.randperm(10, generator=generator(8, "batches", 2))
    assert torch.equal(batches.at(2 * 3 + 1)[1], order[3:6])


def test_another_seed_or_epoch_gives_another_order():
    one, other = Batches(split_of(30), 30, seed=0), Batches(split_of(30), 30, seed=1)
    assert not torch.equal(one.indices(0), other.indices(0))
    assert not torch.equal(one.indices(0), one.indices(1))


def test_inputs_are_normalized_by_the_channel_statistics():
    split = split_of(6)
    inputs, targets = Batches(split, 6, seed=0).at(0)
    expected = (
        split.images[targets].double() / 255 - torch.tensor(split.mean).double().view(1, 3, 1, 1)
    ) / torch.tensor(split.std).double().view(1, 3, 1, 1)
    assert inputs.dtype == torch.float32
    assert inputs.shape == (6, 3, 32, 32)
    assert targets.dtype == torch.int64
    # float32 arithmetic on values of size below 3
    torch.testing.assert_close(inputs.double(), expected, rtol=0, atol=1e-6)


def test_augmentation_is_a_crop_of_the_padded_image_or_of_its_mirror():
    split = split_of(40)
    batches = Batches(split, 40, seed=0, augment=True)
    inputs, targets = batches.at(5)
    mirrored = moved = 0
    for one, image in zip(inputs, split.images[targets], strict=True):
        # all 81 crops of the padded image and of its mirror, written with slices
        padded = F.pad(image, (4, 4, 4, 4))
        crops = [padded[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
        candidates = split.normalize(torch.stack(crops + [crop.flip(-1) for crop in crops]))
        found = (candidates == one).all(dim=(1, 2, 3)).nonzero().flatten().tolist()
        assert len(found) == 1
        mirrored += found[0] >= 81
        moved += found[0] % 81 != 40
    assert 8 <= mirrored <= 32  # 40 fair coins: outside with probability 1e-4, and the draw is fixed
    assert moved >= 30


def test_further_batches_are_others_and_the_fixed_one_is_one() -> None:
    split = split_of(40)
    batches = Batches(split, 8, seed=2)
    order = torch.randperm(40, generator=generator(2, "other_batches", 5, 1))
    assert torch.equal(batches.other(5, 1)[1], split.labels[order[:8]])
    assert torch.equal(batches.other(5, 1)[0], split.normalize(split.images[order[:8]]))
    seen = {tuple(labels.tolist()) for step in (5, 6) for labels in (batches.other(step, n)[1] for n in (1, 2))}
    assert len(seen) == 4
    assert all(len(set(labels)) == 8 for labels in seen)  # without replacement: split_of gives each image a label
    assert torch.equal(batches.fixed()[0], batches.fixed()[0])
    assert not torch.equal(batches.fixed()[0], Batches(split, 8, seed=3).fixed()[0])
    # measuring on further batches leaves the order of training alone
    assert torch.equal(batches.at(7)[1], Batches(split, 8, seed=2).at(7)[1])


def test_further_batches_are_augmented_as_training_is_and_the_fixed_one_is_not() -> None:
    split = split_of(40)
    plain, augmented = Batches(split, 8, seed=2), Batches(split, 8, seed=2, augment=True)
    assert torch.equal(plain.other(5, 1)[1], augmented.other(5, 1)[1])
    assert not torch.equal(plain.other(5, 1)[0], augmented.other(5, 1)[0])
    assert torch.equal(plain.fixed()[0], augmented.fixed()[0])


def test_chunks_give_every_image_once_in_stored_order():
    split = split_of(11)
    parts = list(split.chunks(4))
    assert [len(targets) for _, targets in parts] == [4, 4, 3]
    assert torch.equal(torch.cat([targets for _, targets in parts]), split.labels)
    assert torch.equal(torch.cat([inputs for inputs, _ in parts]), split.normalize(split.images))


def test_negative_steps_and_empty_batches_are_refused():
    with pytest.raises(ValueError, match="step: must be at least 0, got -1"):
        Batches(split_of(4), 2, seed=0).at(-1)
    with pytest.raises(InputError, match="batch_size: must be at least 1, got 0"):
        Batches(split_of(4), 0, seed=0)


def test_a_prepared_folder_is_loaded_whole(prepared: Path):
    split = load_images(prepared, "test")
    assert (len(split), split.classes, split.mean, split.std) == (5, ("a", "b"), (0.1, 0.2, 0.3), (0.1, 0.2, 0.4))
    assert split.images.dtype == torch.uint8
    assert torch.equal(split.labels, torch.tensor([0, 1, 0, 1, 0]))


def test_bad_folders_are_refused_with_one_line(prepared: Path, tmp_path: Path):
    with pytest.raises(InputError, match="expected one of train, test, held_out, got 'val'"):
        load_images(prepared, "val")
    np.save(prepared / "test_labels.npy", np.array([0, 1, 2, 0, 1]))
    with pytest.raises(InputError, match="expected 0 … 1, got up to 2"):
        load_images(prepared, "test")
    np.save(prepared / "test_labels.npy", np.array([0, 1]))
    with pytest.raises(InputError, match="expected int64, one an image"):
        load_images(prepared, "test")
    np.save(prepared / "train_images.npy", np.zeros((12, 3, 28, 28), dtype=np.uint8))
    with pytest.raises(InputError, match="expected uint8 N×3×32×32"):
        load_images(prepared, "train")
    (prepared / "train_images.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match="not a readable array"):
        load_images(prepared, "train")
    (prepared / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="not a manifest"):
        load_images(prepared, "train")
    with pytest.raises(InputError, match="no such file; expected the output folder"):
        load_images(tmp_path / "nowhere", "train")
