"""A prepared data set as tensors on the device, and the batches that training and probes both read.

A prepared folder (written by `normlab.data.sources`, read here) holds for each split (train, test, and held_out where
the settings ask for one) `<split>_images.npy` (uint8, N × 3 × 32 × 32, RGB) and `<split>_labels.npy` (int64, N), and
one `manifest.json`.

The batch of step t is a pure function of (data, seed, batch size, augmentation, t). So a probe that starts from the
checkpoint of step t sees exactly the batch of training's update t, and all normalizers see the same batches.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.seeding import generator
from normlab.specs.strict import InputError

SPLITS = ("train", "test", "held_out")
SIZE = 32  # side of every image, in pixels
PADDING = 4  # of the random crop, in pixels


@dataclass(frozen=True)
class ImageSplit:
    """One split of a data set, as it lies on the device.

    Attributes:
        images: uint8, (N, 3, 32, 32), RGB, values 0–255.
        labels: int64, (N,), values 0 … len(classes) − 1.
        mean: per-channel mean of the TRAIN split in units of the full range (0–1); both splits are normalized by it.
        std: per-channel standard deviation of the train split, same units.
        classes: names, in label order.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def normalize(self, images: Tensor) -> Tensor:
        """x ↦ (x/255 − mean)/std, channel by channel: uint8 (B, 3, H, W) to float32 of the same shape."""
        mean, std = (value.to(images.device) for value in self._scale)
        return (images.to(torch.float32) / 255 - mean) / std

    @cached_property
    def _scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation on the device, once: a copy to a GPU waits for all that it has still to do."""
        mean, std = (torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return mean.to(self.images.device), std.to(self.images.device)

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in stored order, as (inputs, targets) of at most `size`; for evaluation."""
        for start in range(0, len(self), size):
            yield self.normalize(self.images[start : start + size]), self.labels[start : start + size]


def load_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a prepared folder.

    Raises:
        InputError: the folder holds no readable manifest.
    """
    path = Path(folder) / "manifest.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the output folder of normlab.stages.data") from None
    except ValueError as error:
        raise InputError(f"{path}: not a manifest: {error}") from None


def _check_manifest(manifest: Any, path: Path) -> None:
    wanted = "expected names of classes, and a mean and a positive deviation for each of 3 channels"
    try:
        numbers = np.array([manifest["mean"], manifest["std"]], dtype=np.float64)
        whole = numbers.shape == (2, 3) and np.isfinite(numbers).all() and (numbers[1] > 0).all()
        whole = whole and all(isinstance(name, str) for name in manifest["classes"])
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise InputError(f"{path}: not a manifest: {wanted}")


def load_images(folder: str | Path, split: str, device: str | torch.device = "cpu") -> ImageSplit:
    """A split of the prepared data set in `folder`, moved to `device` once and kept there.

    Args:
        folder: the output folder of the data stage.
        split: "train", "test" or "held_out" (which is there only if the settings hold images out).
        device: where the tensors shall lie; CIFAR-10's train split takes 154 MB.

    Raises:
        InputError: unknown split, missing file, or arrays that do not have the documented type and shape.
    """
    if split not in SPLITS:
        raise InputError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    manifest = load_manifest(folder)
    _check_manifest(manifest, Path(folder) / "manifest.json")
    images = _load_array(Path(folder) / f"{split}_images.npy")
    labels = _load_array(Path(folder) / f"{split}_labels.npy")
    if images.dtype != np.uint8 or images.shape[1:] != (3, SIZE, SIZE):
        raise InputError(f"{folder}: {split} images: expected uint8 N×3×32×32, got {images.dtype} {images.shape}")
    classes = tuple(manifest["classes"])
    if labels.dtype != np.int64 or labels.shape != images.shape[:1] or len(labels) == 0:
        raise InputError(f"{folder}: {split} labels: expected int64, one an image, got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(f"{folder}: {split} labels: expected 0 … {len(classes) - 1}, got up to {labels.max()}")
    return ImageSplit(
        images=torch.from_numpy(images).to(device),
        labels=torch.from_numpy(labels).to(device),
        mean=tuple(manifest["mean"]),
        std=tuple(manifest["std"]),
        classes=classes,
    )


def load_held_out(folder: str | Path, device: str | torch.device = "cpu") -> ImageSplit | None:
    """The images that were set apart from the train split, or None where none were; otherwise as `load_images`."""
    return load_images(folder, "held_out", device) if "held_out" in load_manifest(folder) else None


def _load_array(path: Path) -> np.ndarray:
    try:
        # mapped first, so that a header that announces more than the file has takes no memory
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # the header is text that numpy evaluates: damaged, it fails in any way
        raise InputError(f"{path}: not a readable array: {' '.join(str(error).split())[:200]}") from None


class Batches:
    """The sequence of training batches: `at(step)` is the batch of update `step`, 0-based.

    With n = per_epoch = ⌊N / batch_size⌋ and step = n · epoch + j, the batch is entries
    [j · batch_size, (j + 1) · batch_size) of a permutation of the split that is drawn from the stream
    ("batches", epoch) of the seed; the incomplete rest of an epoch is left out. Nothing else enters, so two runs with
    the same seed see the same batches whatever their normalizer, and any step can be replayed alone.

    With `augment`, each image is padded by 4 black pixels, cropped back to its size at a random place, and mirrored
    with probability 1/2; draws come from the stream ("augment", step). All draws are made on the CPU, so that the
    batches are the same on every device.

    Args:
        split: the images.
        batch_size: images a batch.
        seed: the run's seed.
        augment: random crop and mirror.

    Raises:
        InputError: fewer images than one batch.
    """

    def __init__(self, split: ImageSplit, batch_size: int, seed: int, augment: bool = False) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size: must be at least 1, got {batch_size}")
        if len(split) < batch_size:
            raise InputError(f"batch_size: must be at most the {len(split)} images of the split, got {batch_size}")
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        self.per_epoch = len(split) // batch_size
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> Tensor:
        """Positions in the split of the images of the batch of `step`: int64, (batch_size,), on the split's device."""
        if step < 0:
            raise ValueError(f"step: must be at least 0, got {step}")
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:  # one epoch's order is kept; it is drawn again whenever another epoch is asked for
            order = torch.randperm(len(self.split), generator=generator(self.seed, "batches", epoch))
            self._order, self._epoch = order.to(self.split.labels.device, non_blocking=True), epoch
        return self._order[position * self.batch_size : (position + 1) * self.batch_size]

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of `step`.

        Returns:
            inputs float32 (batch_size, 3, 32, 32), normalized; targets int64 (batch_size,).

        Raises:
            ValueError: a negative step.
        """
        return self._load(self.indices(step), generator(self.seed, "augment", step))

    def other(self, step: int, number: int) -> tuple[Tensor, Tensor]:
        """The `number`-th further batch (from 1) to measure on at `step`, which training does not see there.

        Drawn from the whole split without replacement, by the stream ("other_batches", step, number), and with
        `augment` by ("other_augment", step, number); shapes as of `at`.
        """
        order = torch.randperm(len(self.split), generator=generator(self.seed, "other_batches", step, number))
        draws = generator(self.seed, "other_augment", step, number)
        return self._load(order[: self.batch_size].to(self.split.labels.device), draws)

    def fixed(self) -> tuple[Tensor, Tensor]:
        """One batch for all steps, never augmented, drawn by the stream ("fixed_batch"); shapes as of `at`."""
        order = torch.randperm(len(self.split), generator=generator(self.seed, "fixed_batch"))
        chosen = order[: self.batch_size].to(self.split.labels.device)
        return self.split.normalize(self.split.images[chosen]), self.split.labels[chosen]

    def _load(self, chosen: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        images = self.split.images[chosen]
        if self.augment:
            images = _crop_and_mirror(images, draws)
        return self.split.normalize(images), self.split.labels[chosen]


def _crop_and_mirror(images: Tensor, draws: torch.Generator) -> Tensor:
    """out[b, c, i, j] = padded[b, c, i + dy_b, j' + dx_b], j' = j or mirrored; dy, dx uniform on 0 … 8."""
    count, _, height, width = images.shape
    # the small draws go to the device without waiting for it: they are read before the call returns
    offsets = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=draws).to(images.device, non_blocking=True)
    mirror = torch.randint(0, 2, (count, 1), generator=draws).bool().to(images.device, non_blocking=True)
    places = partial(torch.arange, device=images.device)
    rows = offsets[0] + places(height)
    columns = offsets[1] + torch.where(mirror, places(width - 1, -1, -1), places(width))
    padded = F.pad(images, (PADDING,) * 4)
    image, channel = places(count).view(-1, 1, 1, 1), places(images.shape[1]).view(1, -1, 1, 1)
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
