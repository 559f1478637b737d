"""A data set of one's own: any callable by its dotted path, without a change of the package."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from normlab.data.layouts import Dataset, Split
from normlab.data.pictures import SIZE
from normlab.specs.data import DataSpec
from normlab.specs.errors import InputError
from normlab.specs.parts import check, resolve

CONTRACT = "expected (train, test) or (train, test, class names), each split (images, labels)"


def load_own(spec: DataSpec) -> Dataset:
    """The data set that the callable `spec.source` (`module:attribute`) returns.

    It is called with those of `seed`, `path`, `train_per_class` and `test_per_class` that its signature names, and
    returns `(train, test)` or `(train, test, classes)`: each split is `(images, labels)`, images uint8 (N, 3, 32, 32)
    in RGB, labels whole numbers from 0 (N,), `classes` the names in label order (by default "0", "1", …). Every class
    has images in both splits.

    Raises:
        InputError: the callable is missing or fails, or returns something else.
    """
    where = f"data.source {spec.source!r}"
    returned = _call(spec, where)
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 3):
        raise InputError(f"{where}: {CONTRACT}, got {type(returned).__name__}")
    train, test = (_split(returned[i], f"{where}: {name}") for i, name in enumerate(("train", "test")))
    classes = tuple(map(str, returned[2])) if len(returned) == 3 else tuple(map(str, range(int(train[1].max()) + 1)))
    for name, (_, labels) in (("train", train), ("test", test)):
        counts = np.bincount(labels, minlength=len(classes))
        if len(counts) > len(classes) or not counts.all():
            raise InputError(
                f"{where}: {name}: every one of the {len(classes)} classes needs images, and there are no others; "
                f"images a class: {counts.tolist()[:20]}"
            )
    return Dataset(train, test, classes, "own")


def _call(spec: DataSpec, where: str) -> Any:
    check(spec.source, "data", "data.source")
    part = resolve(spec.source, "data")
    try:
        load: Callable[..., Any] = getattr(importlib.import_module(part.module), part.attribute)
        offered = {name: getattr(spec, name) for name in ("seed", "path", "train_per_class", "test_per_class")}
        named = inspect.signature(load).parameters
        return load(**{name: value for name, value in offered.items() if name in named})
    except Exception as error:  # somebody's code may fail in any way
        raise InputError(f"{where}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def _split(pair: Any, where: str) -> Split:
    try:
        images, labels = (np.asarray(array) for array in pair)
    except (TypeError, ValueError):
        raise InputError(f"{where}: expected (images, labels), got {type(pair).__name__}") from None
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (3, SIZE, SIZE) or not len(images):
        found = f"{images.dtype} {images.shape}"
        raise InputError(f"{where}: expected images uint8 (N, 3, {SIZE}, {SIZE}) with values 0 … 255, got {found}")
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),) or labels.min() < 0:
        found = f"{labels.dtype} {labels.shape}"
        raise InputError(f"{where}: expected {len(images)} labels, whole numbers from 0, got {found}")
    return images, labels.astype(np.int64)
