"""A data set written down: four arrays and a manifest that says exactly what they are. Bytes depend on content only."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normlab.data.layouts import Dataset, Split
from normlab.specs.strict import InputError


def channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Per-channel mean and population standard deviation over all images and pixels, in units of the range 0–1.

    Sums are taken in integers, so the result does not depend on the order of summation or on the machine.

    Raises:
        InputError: a channel is constant, so nothing could be normalized by its deviation.
    """
    mean, std = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), 1000):
            counts += np.bincount(images[start : start + 1000, channel].ravel(), minlength=256)
        levels, total = np.arange(256), int(counts.sum())
        first, second = int((counts * levels).sum()), int((counts * levels**2).sum())
        variance = total * second - first**2  # times total², exact
        if variance == 0:
            raise InputError(f"data: channel {channel}: every pixel of every training image has the same value")
        mean.append(first / total / 255)
        std.append(variance**0.5 / total / 255)
    return mean, std


def content_digest(dataset: Dataset) -> str:
    """SHA-256 over the shapes and bytes of images and labels of every split: train, test, held out if there is one."""
    digest = hashlib.sha256()
    for array in (array for _, split in _splits(dataset) for array in split):
        digest.update(f"{array.dtype.name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def describe(dataset: Dataset, title: str, source: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The manifest: what the data set is called, what is in it, and whether it is the official one."""
    mean, std = channel_statistics(dataset.train[0])
    counts = {split: np.bincount(labels, minlength=len(dataset.classes)) for split, (_, labels) in _splits(dataset)}
    return {
        "title": title,
        "source": source,
        "layout": dataset.layout,
        "official": dataset.official,
        "jpeg": dataset.jpeg,
        "classes": list(dataset.classes),
        "counts": {split: int(count.sum()) for split, count in counts.items()},
        "counts_per_class": {
            split: dict(zip(dataset.classes, map(int, count), strict=True)) for split, count in counts.items()
        },
        "mean": mean,
        "std": std,
        "digest": f"sha256:{content_digest(dataset)}",
        "settings": settings,
    }


def write_dataset(folder: Path, dataset: Dataset, manifest: dict[str, Any]) -> None:
    """Write `<split>_images.npy`, `<split>_labels.npy` and `manifest.json` into an existing folder."""
    for split, (images, labels) in _splits(dataset):
        np.save(folder / f"{split}_images.npy", np.ascontiguousarray(images))
        np.save(folder / f"{split}_labels.npy", labels)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def _splits(dataset: Dataset) -> list[tuple[str, Split]]:
    splits = [("train", dataset.train), ("test", dataset.test)]
    return splits if dataset.held_out is None else [*splits, ("held_out", dataset.held_out)]
