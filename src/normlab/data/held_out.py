"""Images of the training split that no training sees: what a learning rate may be chosen by."""

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from normlab.data.layouts import Dataset
from normlab.specs.strict import InputError


def hold_out(dataset: Dataset, indices: NDArray[np.int64]) -> Dataset:
    """The data set with the training images at `indices` as a split of their own, `held_out`; none if there are none.

    The order of the others stays.
    """
    if len(indices) == 0:
        return dataset
    images, labels = dataset.train
    rest = np.setdiff1d(np.arange(len(labels)), indices)
    return replace(dataset, train=(images[rest], labels[rest]), held_out=(images[indices], labels[indices]))


def choose_held_out(labels: NDArray[np.int64], classes: int, count: int, seed: int) -> NDArray[np.int64]:
    """Positions of `count` images, ascending, a share of each class in proportion to its size.

    Class c of n_c among N images gives ⌊count·n_c/N⌋, and the largest remainders one more (the lower class where they
    are equal). In a class, the images with the smallest SHA-256 of (seed, position) are taken: a choice at random that
    needs no generator, so that no version of a library can change it.

    Args:
        labels: (N,) of the training split, 0 … classes − 1.
        classes: how many classes there are.
        count: how many images to set apart.
        seed: another seed sets other images apart.

    Raises:
        InputError: a class would have no image left to train on.
    """
    sizes = np.bincount(labels, minlength=classes)
    shares, remainders = np.divmod(count * sizes, len(labels))
    largest = np.argsort(-remainders, kind="stable")
    shares[largest[: count - shares.sum()]] += 1
    if count and (shares >= sizes).any():
        raise InputError(f"data.held_out: must leave each class an image to train on, got {count} of {len(labels)}")
    chosen: list[int] = []
    for label, share in enumerate(shares):
        ranked = sorted(np.flatnonzero(labels == label).tolist(), key=lambda position: _rank(seed, position))
        chosen += ranked[:share]
    return np.array(sorted(chosen), dtype=np.int64)


def _rank(seed: int, position: int) -> bytes:
    return hashlib.sha256(f"held_out/{seed}/{position}".encode()).digest()
