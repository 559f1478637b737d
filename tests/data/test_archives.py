"""Archives from elsewhere: read in memory only, and refused when they are hostile, too large or damaged."""

import bz2
import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.data.writers import write_folder, write_tar, write_zip

from normlab.data import archives
from normlab.data.archives import read_members
from normlab.specs.strict import InputError

FILES = {"a/one.txt": b"1", "a/two.txt": b"2" * 1000, "b.txt": b""}


def content_of(path: Path) -> dict[str, bytes]:
    return {name: content for name, content in read_members(path) if content is not None}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_in_every_compression(tmp_path: Path, mode: str):
    assert content_of(write_tar(tmp_path / "x", FILES, mode)) == FILES


def test_zip_and_folder(tmp_path: Path):
    assert content_of(write_zip(tmp_path / "x.zip", FILES)) == FILES
    assert content_of(write_folder(tmp_path / "folder", FILES)) == FILES


def test_folders_are_reported_and_hidden_files_passed_over(tmp_path: Path):
    root = write_folder(tmp_path / "folder", FILES | {".DS_Store": b"x", "a/._one.txt": b"x"})
    (root / "empty").mkdir()
    assert dict(read_members(root)) == FILES | {"a": None, "empty": None}
    packed = write_zip(tmp_path / "x.zip", {"__MACOSX/a/one.txt": b"x", "./a/one.txt": b"1"})
    assert content_of(packed) == {"a/one.txt": b"1"}


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\..\\evil"])
@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_paths_that_leave_the_archive_are_refused(tmp_path: Path, name: str, write):
    with pytest.raises(InputError, match="has a path outside the archive; refused"):
        content_of(write(tmp_path / "inner", {"a/ok": b"", name: b"x"}))
    assert os.listdir(tmp_path) == ["inner"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_tar_are_refused(tmp_path: Path, kind: bytes):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("train/cat/0.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(InputError, match=r"'train/cat/0\.png' is a link or device"):
        content_of(tmp_path / "x.tar")


def test_links_in_zip_and_folder_are_refused(tmp_path: Path):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="'link' is a link or device"):
        content_of(tmp_path / "x.zip")
    root = write_folder(tmp_path / "folder", FILES)
    (root / "linked").symlink_to(root / "a")
    with pytest.raises(InputError, match="a link to a folder"):
        content_of(root)
    (root / "linked").unlink()
    os.mkfifo(root / "pipe")
    with pytest.raises(InputError, match="not a plain file"):
        content_of(root)


def test_archives_that_expand_beyond_the_limits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 100_000)
    monkeypatch.setattr(archives, "TOTAL_LIMIT", 250_000)
    monkeypatch.setattr(archives, "COUNT_LIMIT", 50)
    one, many = {"bomb": bytes(100_001)}, {str(i): bytes(90_000) for i in range(3)}
    crowd = {str(i): b"" for i in range(51)}
    for write, name in ((write_tar, "x.tar.gz"), (write_zip, "x.zip")):
        with pytest.raises(InputError, match="'bomb' has 100001 bytes, at most 100000"):
            content_of(write(tmp_path / name, one))
        with pytest.raises(InputError, match="expands beyond"):
            content_of(write(tmp_path / name, many))
        with pytest.raises(InputError, match="expands beyond"):
            content_of(write(tmp_path / name, crowd))
    with pytest.raises(InputError, match="'bomb' has 100001 bytes"):
        content_of(write_folder(tmp_path / "folder", one))


def test_a_tar_header_cannot_ask_for_unbounded_memory(tmp_path: Path):
    # an extended header or long name of 2 MB (it could be gigabytes): tarfile would read all of it at once
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        info = tarfile.TarInfo("huge")
        info.type, info.size = kind, 2_000_000
        (tmp_path / "x.tar.gz").write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2_001_024)))
        with pytest.raises(InputError, match=r"not a readable .*: a header of 2000000 bytes"):
            content_of(tmp_path / "x.tar.gz")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_truncated_tar_is_an_error_wherever_it_ends(tmp_path: Path, mode: str):
    files = {f"{i}": os.urandom(700) for i in range(8)}
    whole = write_tar(tmp_path / "whole", files, mode).read_bytes()
    end = 8 * (512 + 1024) if mode == "w" else len(whole)  # an uncompressed tar is padded with zeros
    for length in range(0, end, end // 23):
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"not a readable|truncated"):
            content_of(tmp_path / "part")


def test_damage_is_an_error(tmp_path: Path):
    files = {f"{i}": os.urandom(700) for i in range(8)}
    for write, name in ((write_tar, "x.tar.gz"), (write_zip, "x.zip")):
        content = bytearray(write(tmp_path / name, files).read_bytes())
        content[len(content) // 2] ^= 0xFF
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="not a readable"):
            content_of(tmp_path / name)
    plain = bytearray(write_tar(tmp_path / "x.tar", files, "w").read_bytes())
    plain[3 * (512 + 1024)] ^= 0xFF  # the fourth header: tarfile alone would end there without a word
    (tmp_path / "x.tar").write_bytes(plain)
    with pytest.raises(InputError, match="damaged or truncated"):
        content_of(tmp_path / "x.tar")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"PK nothing", id="begins like a zip"),
        pytest.param(gzip.compress(b"hello"), id="gzip of no tar"),  # named: the bytes hold the time
        pytest.param(bz2.compress(b"\0" * 9), id="bzip2 of no tar"),
    ],
)
def test_what_is_no_archive_is_an_error(tmp_path: Path, content: bytes):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="not a readable folder, tar or zip archive"):
        content_of(tmp_path / "x")


def test_missing_and_encrypted(tmp_path: Path):
    with pytest.raises(InputError, match="no such file or folder"):
        content_of(tmp_path / "nowhere")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("secret", b"x")
    content = bytearray(stream.getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the encryption bit in both headers
        content[content.index(mark) + offset] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(InputError, match="'secret' is encrypted"):
        content_of(tmp_path / "x.zip")
