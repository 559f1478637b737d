"""Image folders: `train/<class>/<file>` and `test/<class>/<file>`, decoded one by one to 32 × 32 RGB."""

import io
import warnings
from dataclasses import dataclass
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
# what Windows, macOS and network stores put beside people's files, in lower case
LITTER_FILES = ("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r", "icon")
LITTER_FOLDERS = ("@eadir", "@tmp", "#recycle", "$recycle.bin", "system volume information", "lost+found", "__macosx")


@dataclass(frozen=True)
class DecodedPicture:
    """One decoded image.

    Attributes:
        pixels: 32 × 32 × 3 bytes.
        jpeg: it came as a JPEG, so its pixels are not the originals.
        size: width and height before it was resampled.
    """

    pixels: bytes
    jpeg: bool
    size: tuple[int, int]


def decode_picture(content: bytes, where: str) -> DecodedPicture:
    """An encoded image as 32 × 32 RGB; one of another size is resampled bicubically, its aspect ratio not being kept.

    Raises:
        InputError: corrupt, of an unknown format, of more than 8 bits a channel, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's remarks on metadata; damage raises
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
            _check(image, where)
            jpeg, size = image.format == "JPEG", image.size
            if image.mode in ("P", "PA"):
                image = image.convert("RGBA")
            image = image.convert("RGB")
    except (InputError, MemoryError):
        raise
    except Exception:  # decoders fail in any way on damaged bytes: OSError, ValueError, SyntaxError, struct.error, …
        raise InputError(f"{where}: a corrupt or unknown image; accepted: {', '.join(FORMATS)}") from None
    if size != (SIZE, SIZE):
        image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return DecodedPicture(image.tobytes(), jpeg, size)


def _check(image: Image.Image, where: str) -> None:
    if image.width * image.height > PIXEL_LIMIT:
        raise InputError(f"{where}: {image.width}×{image.height} pixels; at most {PIXEL_LIMIT} are accepted")
    # PIL reads color of 16 bits as if it had 8, and says so only in the arguments of its decoders
    decoders = [str(tile[3]) for tile in getattr(image, "tile", [])]
    deep = any(";16" in arguments or "65535" in arguments for arguments in decoders)
    if deep or image.mode not in MODES:
        mode = f"{image.mode} of 16 bits a channel" if deep else image.mode
        raise InputError(f"{where}: mode {mode}; accepted are 8 bits a channel, in the modes {', '.join(MODES)}")


class Pictures:
    """Images collected class by class, in any order; `arrays` puts them in order of class and file name.

    Args:
        where: named in error messages.
        depths: accepted numbers of path parts below the split's folder; the class is the last folder.
        resize: take in images of another size than 32 × 32, resampled.
    """

    def __init__(self, where: str, depths: tuple[int, ...] = (2,), resize: bool = True) -> None:
        self.where = where
        self.depths = depths
        self.resize = resize
        self.jpeg = False
        self._resized, self._stretched, self._litter = 0, 0, 0
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
        if start is None:
            return
        split, inside = parts[start], parts[start + 1 :]
        if _is_litter(inside, content is None):
            self._litter += content is not None
            return
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
        images = self._pixels[split].setdefault(_class_name(inside[-2], self.where), {})
        key = "/".join(inside)
        if key in images:
            raise InputError(f"{self.where}: {name} occurs twice")
        picture = decode_picture(content, f"{self.where}: {name}")
        self._note_size(picture, name)
        images[key] = picture.pixels
        self.jpeg |= picture.jpeg
        self._filled.update((split, *inside[:depth]) for depth in range(1, len(inside)))

    def _note_size(self, picture: DecodedPicture, name: str) -> None:
        width, height = picture.size
        if (width, height) == (SIZE, SIZE):
            return
        if not self.resize:
            raise InputError(f"{self.where}: {name}: {width}×{height} pixels, and data.other_sizes is refuse")
        self._resized += 1
        self._stretched += width != height

    @property
    def notes(self) -> tuple[str, ...]:
        """A line each for what was not taken as it is: files of the operating system, images of another size."""
        notes = []
        if self._litter:
            notes.append(f"{self._litter} files that operating systems leave behind were passed over")
        if self._resized:
            notes.append(
                f"{self._resized} images of another size than {SIZE}×{SIZE} were resampled (bicubic); "
                f"{self._stretched} of them were not square and are stretched"
            )
        return tuple(notes)

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


def _is_litter(inside: tuple[str, ...], is_folder: bool) -> bool:
    names = [part.lower() for part in inside]
    folders, file = (names, "") if is_folder else (names[:-1], names[-1] if names else "")
    return file in LITTER_FILES or any(name in LITTER_FOLDERS for name in folders)


def _class_name(name: str, where: str) -> str:
    if not name.isprintable():  # undecodable bytes are not, and neither are line ends and the like
        raise InputError(f"{where}: class folder {name!a}: its name must be printable UTF-8 text; rename it")
    return name
