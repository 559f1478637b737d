"""A data set from outside the package: `data: {source: examples.data:stripes}`."""

import numpy as np


def stripes(seed: int, train_per_class: int, test_per_class: int):
    """Noisy horizontal and vertical stripes: (train, test, class names)."""
    draws = np.random.default_rng(seed)

    def split(per_class: int):
        labels = np.arange(2 * per_class) % 2
        wave = 60 * np.sin(np.arange(32) * np.pi / 4)
        images = np.where(labels[:, None, None] == 0, wave[:, None], wave[None, :])[:, None]
        noisy = 128 + images + draws.normal(0, 30, (len(labels), 3, 32, 32))
        return noisy.clip(0, 255).astype(np.uint8), labels

    return split(train_per_class or 100), split(test_per_class or 20), ("horizontal", "vertical")
