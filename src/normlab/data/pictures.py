"""Image folders: `train/<class>/<file>` and `test/<class>/<file>`, decoded one by one to 32 × 32 RGB."""

import io
import struct
import warnings
import zlib
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from normlab.specs.strict import InputError

SPLITS = ("train", "test")
SIZE = 32
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")  # decoders that are opened to files from outside
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
PIXEL_LIMIT = 1 << 26  # of one image
IGNORED = ("Thumbs.db", "desktop.ini")


def decode_picture(content: bytes, where: str) -> tuple[bytes, bool]:
    """Pixels of an encoded image, 32 × 32 × 3 bytes, and whether it was a JPEG.

    An image of another size is resampled bicubically to 32 × 32, its aspect ratio not being kept.

    Raises:
        InputError: corrupt, of an unknown format, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's remarks on metadata; damage raises
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > PIXEL_LIMIT or image.mode not in MODES:
                raise InputError(f"{where}: an image of {image.width}×{image.height} {image.mode} is not accepted")
            jpeg = image.format == "JPEG"
            if image.mode in ("P", "PA"):
                image = image.convert("RGBA")
            image = image.convert("RGB")
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError):
        raise InputError(f"{where}: a corrupt or unknown image; accepted: {', '.join(FORMATS)}") from None
    if image.size != (SIZE, SIZE):
        image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return image.tobytes(), jpeg


class Pictures:
    """Images collected class by class, in any order; `arrays` puts them in order of class and file name.

    Args:
        where: named in error messages.
        depths: accepted numbers of path parts below the split's folder; the class is the last folder.
    """

    def __init__(self, where: str, depths: tuple[int, ...] = (2,)) -> None:
        self.where = where
        self.depths = depths
        self.jpeg = False
        self._pixels: dict[str, dict[str, dict[str, bytes]]] = {split: {} for split in SPLITS}
        self._folders: set[tuple[str, ...]] = set()
        self._filled: set[tuple[str, ...]] = set()

    @property
    def empty(self) -> bool:
        """No image so far, in either split."""
        return not any(self._pixels.values())

    def add(self, name: str, content: bytes | None) -> None:
        """Take in a member of an archive: a folder (None) or a file; what lies outside of the splits is passed over.

        Raises:
            InputError: a file that is no image, a corrupt one, or one at another place than `<split>/<class>/`.
        """
        parts = PurePosixPath(name).parts
        start = next((i for i, part in enumerate(parts) if part in SPLITS), None)
        if start is None or parts[-1] in IGNORED:
            return
        split, inside = parts[start], parts[start + 1 :]
        if content is None:
            if inside:
                self._folders.add((split, *inside))
            return
        is_image = PurePosixPath(name).suffix.lower() in SUFFIXES
        if not is_image and len(inside) < 2:
            return  # a note or table beside the class folders
        if not is_image:
            raise InputError(f"{self.where}: {name} is not an image; accepted: {', '.join(SUFFIXES)}")
        if len(inside) not in self.depths:
            raise InputError(f"{self.where}: {name}: images must lie in {split}/<class>/")
        images = self._pixels[split].setdefault(inside[-2], {})
        key = "/".join(inside)
        if key in images:
            raise InputError(f"{self.where}: {name} occurs twice")
        images[key], jpeg = decode_picture(content, f"{self.where}: {name}")
        self.jpeg |= jpeg
        self._filled.update((split, *inside[:depth]) for depth in range(1, len(inside)))

    def classes(self, split: str) -> tuple[str, ...]:
        """Names of a split's classes, sorted.

        Raises:
            InputError: the split is missing, or a class folder holds no image.
        """
        empty = sorted(folder for folder in self._folders - self._filled if folder[0] == split)
        if empty:
            raise InputError(f"{self.where}: class folder {'/'.join(empty[0])} holds no images")
        if not self._pixels[split]:
            raise InputError(f"{self.where}: no {split}/<class>/ folders; both train and test are needed")
        return tuple(sorted(self._pixels[split]))

    def arrays(self, split: str, classes: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images uint8 (N, 3, 32, 32) and labels int64 (N,), by class and name; the collected ones are given up."""
        counts = [len(self._pixels[split][name]) for name in classes]
        images = np.empty((sum(counts), 3, SIZE, SIZE), dtype=np.uint8)
        start = 0
        for name, count in zip(classes, counts, strict=True):
            own = self._pixels[split].pop(name)
            pixels = np.frombuffer(b"".join(own[key] for key in sorted(own)), dtype=np.uint8)
            images[start : start + count] = pixels.reshape(count, SIZE, SIZE, 3).transpose(0, 3, 1, 2)
            start += count
        return images, np.repeat(np.arange(len(classes), dtype=np.int64), counts)
