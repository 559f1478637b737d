"""Reading folders, tar and zip archives from sources that are not trusted.

Nothing is ever extracted to disk: members are read into memory one by one, in bounded amounts. Links, devices, paths
that leave the archive, encrypted members and archives that expand beyond the limits are refused.
"""

import bz2
import gzip
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from tqdm import tqdm

from normlab.specs.strict import InputError

MEMBER_LIMIT = 1 << 29  # bytes of one member; the largest known one has 155 MB
TOTAL_LIMIT = 1 << 32  # bytes of an archive when expanded
HEADER_LIMIT = 1 << 20  # bytes of a long name or extended header
COUNT_LIMIT = 2_000_000  # members
Member = tuple[str, bytes | None]  # path inside the archive, content; None for a directory

_MAGIC: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def read_members(path: Path) -> Iterator[Member]:
    """Every directory and plain file of a folder, tar (also gzip, bzip2, xz) or zip archive, with its content.

    Hidden files (a name that starts with a dot) are passed over.

    Args:
        path: of the folder or archive.

    Yields:
        (path inside, with forward slashes; bytes, or None for a directory). Order is that of the archive; a folder is
        read in the order of names.

    Raises:
        InputError: no such file, not an archive, damaged, or a member that is refused.
    """
    if not path.is_dir() and not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    total = 0
    try:
        members = _folder(path) if path.is_dir() else _zip(path) if _head(path)[:2] == b"PK" else _tar(path)
        for count, (name, content) in enumerate(members):
            total += len(content or b"")
            if count >= COUNT_LIMIT or total > TOTAL_LIMIT:
                raise InputError(f"{path}: expands beyond {COUNT_LIMIT} members or {TOTAL_LIMIT} bytes; refused")
            parts = PurePosixPath(name).parts  # empty for the root
            if parts and not any(part.startswith(".") or part == "__MACOSX" for part in parts):
                yield name, content
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise InputError(f"{path}: not a readable folder, tar or zip archive: {_line(error)}") from None


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(6)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _bar(total: int, path: Path, unit: str = "B") -> tqdm:
    scale = unit == "B"
    return tqdm(
        total=total, desc=f"read {path.name}", unit=unit, unit_scale=scale, file=sys.stderr, disable=None, delay=1
    )


def _check_name(path: Path, name: str) -> str:
    """The member's path without leading `./`, unless it leaves the archive."""
    inside = PurePosixPath(name.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or (inside.parts and ":" in inside.parts[0]):
        raise InputError(f"{path}: member {name!r} has a path outside the archive; refused")
    return str(inside)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MEMBER_LIMIT:
        raise InputError(f"{path}: member {name!r} has {size} bytes, at most {MEMBER_LIMIT} are accepted")


def _folder(path: Path) -> Iterator[Member]:
    files = []
    for root, directories, names in os.walk(path, onerror=_raise):  # by itself it passes over what it may not read
        directories.sort()
        if linked := next((name for name in directories if (Path(root) / name).is_symlink()), None):
            raise InputError(f"{Path(root) / linked}: a link to a folder; only plain folders are accepted")
        yield Path(root).relative_to(path).as_posix(), None
        files += [Path(root) / name for name in sorted(names)]
    with _bar(len(files), path, "file") as bar:
        for file in files:
            name = file.relative_to(path).as_posix()
            if not stat.S_ISREG(file.stat().st_mode):
                raise InputError(f"{file}: not a plain file; refused")
            _check_size(path, name, file.stat().st_size)
            yield name, file.read_bytes()
            bar.update()


def _raise(error: OSError) -> None:
    raise error


class _Bounded:
    """A stream that ends with an error when an archive expands beyond the limit, whatever its headers claim."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self.stream, self.path, self.left = stream, path, TOTAL_LIMIT

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise InputError(f"{self.path}: expands beyond {TOTAL_LIMIT} bytes; refused")
        return data


class _StrictHeader(tarfile.TarInfo):
    """Two gaps of tarfile closed.

    It takes a damaged header after the first member for the end of the archive, and reads an extended header of any
    length into memory. Here both are errors.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.size > HEADER_LIMIT and not info.isreg():
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise  # the regular end
            raise tarfile.ReadError(f"{error}; damaged or truncated") from None


def _tar(path: Path) -> Iterator[Member]:
    with path.open("rb") as raw:
        expand = next((opener for magic, opener in _MAGIC.items() if _head(path).startswith(magic)), None)
        stream = _Bounded(expand(raw) if expand else raw, path)
        with (
            _bar(path.stat().st_size, path) as bar,
            tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictHeader) as archive,  # type: ignore[call-overload]
        ):
            for info in archive:
                name = _check_name(path, info.name)
                bar.update(raw.tell() - bar.n)
                if info.isdir():
                    yield name, None
                    continue
                if not info.isreg():
                    raise InputError(f"{path}: member {name!r} is a link or device, only plain files are accepted")
                _check_size(path, name, info.size)
                content = archive.extractfile(info)
                data = content.read() if content else b""
                if len(data) != info.size:
                    raise InputError(f"{path}: member {name!r} is truncated")
                yield name, data
            while stream.read(1 << 16):  # to the end of the compressed stream, whose checksum is there
                pass


def _zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        with _bar(len(entries), path, "file") as bar:
            for info in entries:
                name = _check_name(path, info.filename)
                mode = info.external_attr >> 16
                if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
                    raise InputError(f"{path}: member {name!r} is a link or device, only plain files are accepted")
                if info.flag_bits & 1:
                    raise InputError(f"{path}: member {name!r} is encrypted; refused")
                _check_size(path, name, info.file_size)
                try:
                    yield name, None if info.is_dir() else archive.read(info)
                except NotImplementedError as error:  # an exotic compression method
                    raise InputError(f"{path}: member {name!r}: {_line(error)}") from None
                bar.update()
