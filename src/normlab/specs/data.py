"""The `data` section of params.yaml: which images the studies use."""

import re
from dataclasses import dataclass
from typing import Literal

from normlab.specs.parts import resolve
from normlab.specs.strict import require


@dataclass(frozen=True)
class BuiltIn:
    """What is known of a built-in source before it is read.

    Attributes:
        classes: how many there are; None of a folder.
        stored: training images of each class; None where that is a setting, or unknown.
    """

    classes: int | None = None
    stored: int | None = None


SOURCES = {"cifar10": BuiltIn(10, 5000), "cifar100": BuiltIn(100, 500), "folder": BuiltIn(), "textures": BuiltIn(10)}


@dataclass(frozen=True)
class DataSpec:
    """Where the images come from, and how many of them are used.

    Attributes:
        source: cifar10, cifar100, folder (any images, one folder a class), textures (generated, no download), or the
            dotted path `module:attribute` of a callable of one's own (`normlab.data.own.load_own`).
        seed: of the textures, and of the choice of the images held out; nothing else is drawn.
        path: a local archive or folder used instead of the download; required for `folder`. The environment variable
            NORMLAB_DATA replaces it.
        train_per_class: for textures the number of training images a class; for the others a cap, the first ones of
            each class being kept, 0 for all.
        test_per_class: the same for the test split.
        held_out: how many of the training images are set apart, a share of each class; no training and no probe sees
            them, each run is tested on them as well, and a learning rate may be chosen by them. 0 for none.
        sha256: the expected SHA-256 of a local archive, in hexadecimal; empty to accept any.
        other_sizes: what is done with images that are not 32 × 32: resize (resampled, stretched if they are not square)
            or refuse.
        mirrors: download addresses tried before the built-in list (same archive, checked by the official checksum).
    """

    source: str
    seed: int = 0
    path: str = ""
    train_per_class: int = 0
    test_per_class: int = 0
    held_out: int = 0
    sha256: str = ""
    other_sizes: Literal["resize", "refuse"] = "resize"
    mirrors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if ":" in self.source:
            resolve(self.source, "data", "data.source")
        else:
            known = f"expected one of {', '.join(SOURCES)}, or a path module:attribute"
            require(self.source in SOURCES, "data.source", known, self.source)
        least = 1 if self.source == "textures" else 0
        for name in ("train_per_class", "test_per_class"):
            require(getattr(self, name) >= least, f"data.{name}", f"must be at least {least}", getattr(self, name))
        require(self.held_out >= 0, "data.held_out", "must be at least 0", self.held_out)
        if self.source == "textures":
            require(not self.path, "data.path", "must be empty, textures are generated", self.path)
        require(self.seed >= 0, "data.seed", "must be at least 0", self.seed)
        accepted = "must be empty or 64 hexadecimal digits"
        require(re.fullmatch(r"([0-9a-f]{64})?", self.sha256) is not None, "data.sha256", accepted, self.sha256)
        for i, address in enumerate(self.mirrors):
            accepted = "must start with http:// or https://"
            require(address.startswith(("http://", "https://")), f"data.mirrors[{i}]", accepted, address)

    @property
    def num_classes(self) -> int | None:
        """How many classes there are; None of a folder or one's own data set, which say it only when they are read."""
        return SOURCES.get(self.source, BuiltIn()).classes

    @property
    def train_images(self) -> int | None:
        """How many images training has, as far as that is known before they are read."""
        sizes = [size for size in (self.train_per_class, SOURCES.get(self.source, BuiltIn()).stored) if size]
        return None if self.num_classes is None or not sizes else self.num_classes * min(sizes) - self.held_out
