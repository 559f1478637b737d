"""Transfers over HTTP that can be trusted: resumed, checked against a known digest, and atomic.

A transfer goes to `<name>.part`; only a complete file with an accepted digest is renamed to `<name>`. What was already
received is kept after a broken connection and continued by a Range request, from any mirror, since all mirrors of a
file have one digest. A file with a wrong digest is removed.
"""

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

CHUNK = 1 << 18
LIMIT = 1 << 30  # bytes; every known archive is smaller than 170 MB
ATTEMPTS = 5  # connections to one mirror before the next is tried


class TransferError(Exception):
    """A transfer that failed; the message is one line."""


@dataclass(frozen=True)
class Remote:
    """A file on a server.

    Attributes:
        url: an http or https address.
        name: the file's name in the folder of downloads.
        checksums: accepted digests, "md5:…" or "sha256:…"; with none, only the announced length is checked, and a
            transfer always starts anew.
    """

    url: str
    name: str
    checksums: tuple[str, ...] = ()


def file_digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def has_checksum(path: Path, checksums: tuple[str, ...]) -> bool:
    """Whether the file has one of the digests; true when none is known."""
    digests = {algorithm: file_digest(path, algorithm) for algorithm in {c.split(":")[0] for c in checksums}}
    return not checksums or any(digests[c.split(":")[0]] == c.split(":")[1] for c in checksums)


def fetch(remote: Remote, folder: Path, timeout: float = 30) -> Path:
    """The file at `remote`, complete and checked, in `folder`; nothing is transferred if it is there already.

    Args:
        remote: what to get.
        folder: of downloads; created if missing.
        timeout: seconds without any answer after which a connection is given up.

    Raises:
        TransferError: no connection, an HTTP error, an incomplete transfer, or a wrong digest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if target.exists():
        if has_checksum(target, remote.checksums):
            return target
        target.unlink()
    if not remote.checksums:  # nothing could tell two versions of the file apart
        part.unlink(missing_ok=True)
    failure = ""
    for _ in range(ATTEMPTS):
        before = _size(part)
        try:
            _transfer(remote.url, part, timeout)
        except (urllib.error.URLError, http.client.HTTPException, OSError, TransferError) as error:
            failure = _reason(error)
            if _size(part) == before:  # no progress: the next mirror is worth more than another attempt
                break
            continue
        if has_checksum(part, remote.checksums):
            os.replace(part, target)
            return target
        part.unlink()
        failure = f"wrong checksum, expected {' or '.join(remote.checksums)}"
        if not before:  # else the fault may lie in what was there before: once more from the start
            break
    raise TransferError(f"{remote.url}: {failure}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(error).__name__


def _transfer(url: str, part: Path, timeout: float) -> None:
    """Append the missing bytes of `url` to `part`, or write all of them if the server ignores the range."""
    have = _size(part)
    headers = {"User-Agent": "normlab", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing follows: what is there is complete, or longer than the file
            if _length_from_range(error.headers.get("Content-Range", "")) == have:
                return
            part.unlink()
        raise
    with response:
        appended = response.status == 206
        if appended and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise TransferError("the server answered with another range than the one asked for")
        have = have if appended else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdigit() else None
        if total is not None and total > LIMIT:
            raise TransferError(f"{total} bytes announced, at most {LIMIT} are accepted")
        _receive(response, part, have, total, appended)
    if total is not None and _size(part) != total:
        raise TransferError(f"the connection ended after {_size(part)} of {total} bytes")


def _length_from_range(value: str) -> int | None:
    total = value.rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _receive(response: http.client.HTTPResponse, part: Path, have: int, total: int | None, append: bool) -> None:
    bar = tqdm(
        total=total,
        initial=have,
        desc=f"download {part.stem}",
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=None,  # quiet when not a terminal
        delay=1,
    )
    with part.open("ab" if append else "wb") as stream, bar:
        while chunk := response.read(CHUNK):
            have += len(chunk)
            if have > LIMIT:
                raise TransferError(f"more than {LIMIT} bytes received")
            stream.write(chunk)
            bar.update(len(chunk))
