"""A tiny real data set and run for tests: three classes of noisy colors, a VGG-11 of a few channels."""

import json
from pathlib import Path

import numpy as np
import torch

from normlab.data.images import Batches, ImageSplit, load_images
from normlab.specs.training import RunSpec, TrainSpec

TRAIN = TrainSpec(width=0.0625, batch_size=16, steps=6, test_every=3, checkpoint_every=2, checkpoint_at=(1,))
PARAMS = """
train: {width: 0.0625, batch_size: 16, steps: 6, test_every: 3, checkpoint_every: 2, checkpoint_at: [1]}
probe: {step_sizes: [0.5, 1.0], extra_step_sizes: [0.25], distances: [0.1], eigenvalue_at: [0], units: 4}
"""


def write_data(folder: Path, train: int = 60, test: int = 30) -> Path:
    """A prepared data set in `folder`, as the data stage writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 3
        images = draws.integers(0, 128, (count, 3, 32, 32))
        images[np.arange(count), labels] += 100
        np.save(folder / f"{split}_images.npy", images.astype(np.uint8))
        np.save(folder / f"{split}_labels.npy", labels.astype(np.int64))
    manifest = {"classes": ["red", "green", "blue"], "mean": [0.4, 0.4, 0.4], "std": [0.25, 0.25, 0.25]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def load(
    folder: Path, seed: int = 0, batch_size: int = 16, device: str | torch.device = "cpu", augment: bool = False
) -> tuple[Batches, ImageSplit]:
    """Training batches and test split of the data set in `folder`."""
    batches = Batches(load_images(folder, "train", device), batch_size, seed, augment)
    return batches, load_images(folder, "test", device)


def run_spec(norm_layer: str = "batch", learning_rate: float = 0.1, seed: int = 0, **changes: object) -> RunSpec:
    """A run of the tiny network; `changes` replace settings of `TRAIN`."""
    return RunSpec("vgg11", norm_layer, learning_rate, seed, TrainSpec(**{**vars(TRAIN), **changes}))  # type: ignore[arg-type]


def same_state(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two state dicts hold the same names and bit-identical tensors."""
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)
