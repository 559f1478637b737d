"""The embedded data set: ten classes of generated 32 × 32 RGB textures, so that everything runs without a download.

An image is a pattern f(u, v) ∈ [−1, 1] of its class, seen through a random rotation, scale and shift, painted between
two random colors over a random illumination, partly covered by another image's pattern, and made noisy:

    f' = f + w · m · (f_other − f)                    clutter: a random ellipse m shows a pattern of another class
    x  = middle + contrast · direction · f' + slope · position + σ ε,   ε ~ N(0, 1) a pixel and channel

Colors, phases and orientations do not depend on the class, so the mean image of every class is flat and a linear
classifier on pixels finds little; the classes differ in local shape, which a convolutional network finds.

Image i is a function of (seed, split, i) alone: sets of different sizes agree on the images they share. All arithmetic
is float64 and rounded to uint8 at the end.
"""

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SIZE = 32
BLOCK = 200  # images drawn from one random stream; a multiple of the number of classes
Array = NDArray[np.float64]
Pattern = Callable[[Array, Array, Array], Array]


def _square(x: Array) -> Array:
    """A sine with flattened tops: tanh(3 sin x)/tanh 3."""
    return np.tanh(3 * np.sin(x)) / np.tanh(3.0)


def _stripes(u: Array, v: Array, phase: Array) -> Array:
    return _square(u + phase)


def _checkers(u: Array, v: Array, phase: Array) -> Array:
    return _square(u + phase) * _square(v)


def _plaid(u: Array, v: Array, phase: Array) -> Array:
    return (np.sin(u + phase) + np.sin(v)) / 2


def _waves(u: Array, v: Array, phase: Array) -> Array:
    return _square(u + 2.0 * np.sin(v + phase))


def _rings(u: Array, v: Array, phase: Array) -> Array:
    return _square(1.1 * np.hypot(u, v) + phase)


def _squares(u: Array, v: Array, phase: Array) -> Array:
    return _square(1.2 * np.maximum(np.abs(u), np.abs(v)) + phase)


def _rays(u: Array, v: Array, phase: Array) -> Array:
    return _square(6 * np.arctan2(v, u) + phase)


def _spirals(u: Array, v: Array, phase: Array) -> Array:
    return _square(1.1 * np.hypot(u, v) + 2 * np.arctan2(v, u) + phase)


def _dots(u: Array, v: Array, phase: Array) -> Array:
    # one round spot in each cell of a lattice, odd rows moved by half a cell
    row = np.floor(v / np.pi)
    du = np.mod(u + phase + row % 2 * np.pi / 2, np.pi) - np.pi / 2
    dv = v - row * np.pi - np.pi / 2
    return np.tanh(4 * (0.75 - np.hypot(du, dv)))


def _blobs(u: Array, v: Array, phase: Array) -> Array:
    # four plane waves of incommensurate directions: irregular spots without a lattice
    angles = phase + np.array([0.0, 1.1, 2.5, 3.9]).reshape(4, 1, 1, 1)
    waves = np.sin(0.9 * (u * np.cos(angles) + v * np.sin(angles)) + 7 * angles)
    return np.tanh(1.2 * waves.sum(axis=0))


PATTERNS: dict[str, Pattern] = {
    "stripes": _stripes,
    "checkers": _checkers,
    "plaid": _plaid,
    "waves": _waves,
    "rings": _rings,
    "squares": _squares,
    "rays": _rays,
    "spirals": _spirals,
    "dots": _dots,
    "blobs": _blobs,
}
CLASSES = tuple(PATTERNS)


def generate(split: str, per_class: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The first `per_class` textures of each class of a split.

    Args:
        split: "train" or "test"; the two share no image.
        per_class: images of each of the ten classes.
        seed: the same seed gives the same bytes.

    Returns:
        images uint8 (10 · per_class, 3, 32, 32) and labels int64 (10 · per_class,); image i has label i mod 10.
    """
    count = per_class * len(CLASSES)
    images = np.empty((count, 3, SIZE, SIZE), dtype=np.uint8)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        images[start : start + size] = _block(split, start // BLOCK, seed)[:size]
    return images, np.arange(count, dtype=np.int64) % len(CLASSES)


def _block(split: str, block: int, seed: int) -> NDArray[np.uint8]:
    digest = hashlib.sha256(f"textures/{seed}/{split}/{block}".encode()).digest()
    draws = np.random.Generator(np.random.Philox(int.from_bytes(digest[:16], "big")))
    pattern = _clutter(_patterns(draws), draws)
    images = _paint(pattern, draws)
    return np.clip(np.rint(255 * images), 0, 255).astype(np.uint8)


def _uniform(draws: np.random.Generator, low: float, high: float) -> Array:
    return draws.uniform(low, high, (BLOCK, 1, 1))


def _positions() -> tuple[Array, Array]:
    """Pixel centers as (y, x), in units of half the image's side: −1 … 1."""
    axis: Array = (np.arange(SIZE, dtype=np.float64) - (SIZE - 1) / 2) / (SIZE / 2)
    return axis.reshape(1, SIZE, 1), axis.reshape(1, 1, SIZE)


def _patterns(draws: np.random.Generator) -> Array:
    """The pattern of each image of a block, (BLOCK, 32, 32), values −1 … 1, under its own rotation, scale and shift."""
    y, x = _positions()
    angle = _uniform(draws, 0, 2 * np.pi)
    wavelength = np.exp(_uniform(draws, np.log(7.0), np.log(11.0)))  # in pixels
    dx, dy = _uniform(draws, -0.5, 0.5), _uniform(draws, -0.5, 0.5)
    phase = _uniform(draws, 0, 2 * np.pi)
    scale = 2 * np.pi * (SIZE / 2) / wavelength
    u = scale * (np.cos(angle) * (x - dx) + np.sin(angle) * (y - dy))
    v = scale * (np.cos(angle) * (y - dy) - np.sin(angle) * (x - dx))
    fields = np.empty((BLOCK, SIZE, SIZE))
    for label, pattern in enumerate(PATTERNS.values()):
        own = slice(label, None, len(CLASSES))
        fields[own] = pattern(u[own], v[own], phase[own])
    return fields


def _clutter(fields: Array, draws: np.random.Generator) -> Array:
    """Each pattern with a soft ellipse of another image's pattern laid over it."""
    y, x = _positions()
    cx, cy = _uniform(draws, -1, 1), _uniform(draws, -1, 1)
    rx, ry = _uniform(draws, 0.2, 0.6), _uniform(draws, 0.2, 0.6)
    weight = _uniform(draws, 0.3, 1.0)
    other = fields[draws.permutation(BLOCK)]
    inside = 1 / (1 + np.exp(np.clip(8 * (np.hypot((x - cx) / rx, (y - cy) / ry) - 1), -50, 50)))
    return fields + weight * inside * (other - fields)


def _paint(fields: Array, draws: np.random.Generator) -> Array:
    """RGB images (BLOCK, 3, 32, 32) around 0 … 1: two random colors, a random illumination, noise."""
    y, x = _positions()
    shape = (BLOCK, 3, 1, 1)
    middle = draws.uniform(0.3, 0.7, shape)
    direction = draws.standard_normal(shape)
    direction /= np.sqrt((direction**2).sum(axis=1, keepdims=True))
    contrast = draws.uniform(0.3, 0.6, (BLOCK, 1, 1, 1))
    slope = draws.uniform(-0.2, 0.2, (2, BLOCK, 1, 1))
    light = (slope[0] * x + slope[1] * y)[:, None]
    noise = draws.standard_normal((BLOCK, 3, SIZE, SIZE)) * draws.uniform(0.02, 0.1, (BLOCK, 1, 1, 1))
    return middle + contrast * direction * fields[:, None] + light + noise
