"""Transfers from a real server on loopback, with every fault that mirrors show."""

import hashlib
import os
import random
import socket
from pathlib import Path

import pytest
from tests.data.server import Page, Server, serving

from normlab.data import download
from normlab.data.download import Remote, TransferError, fetch

CONTENT = random.Random(0).randbytes(900_000)
CHECKSUMS = (f"md5:{hashlib.md5(CONTENT).hexdigest()}",)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def get(server: Server, folder: Path, path: str = "/file", checksums: tuple[str, ...] = CHECKSUMS) -> Path:
    return fetch(Remote(server.url + path, "file", checksums), folder, timeout=5)


def test_a_file_is_received_checked_and_not_received_again(tmp_path: Path):
    with serving({"/file": Page(CONTENT)}) as server:
        path = get(server, tmp_path / "new" / "folder")
        assert path.read_bytes() == CONTENT
        assert os.listdir(path.parent) == ["file"]
        assert get(server, path.parent) == path
        assert server.requests == [("/file", None)]


@pytest.mark.parametrize("checksums", [(), ("md5:00", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")])
def test_no_checksum_or_one_of_several(tmp_path: Path, checksums: tuple[str, ...]):
    with serving({"/file": Page(CONTENT)}) as server:
        assert get(server, tmp_path, checksums=checksums).read_bytes() == CONTENT


def test_a_partial_file_of_an_earlier_run_is_continued(tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT[:500_000])
    with serving({"/file": Page(CONTENT)}) as server:
        assert get(server, tmp_path).read_bytes() == CONTENT
        assert server.requests == [("/file", "bytes=500000-")]


def test_without_checksum_nothing_is_continued(tmp_path: Path):
    (tmp_path / "file.part").write_bytes(b"of another version")
    with serving({"/file": Page(CONTENT)}) as server:
        assert get(server, tmp_path, checksums=()).read_bytes() == CONTENT
        assert server.requests == [("/file", None)]


def test_dropped_connections_are_continued_where_they_ended(tmp_path: Path):
    with serving({"/file": Page(CONTENT, cuts=[300_000, 300_000])}) as server:
        assert get(server, tmp_path).read_bytes() == CONTENT
        assert server.requests == [("/file", None), ("/file", "bytes=300000-"), ("/file", "bytes=600000-")]


def test_a_server_that_ignores_ranges_starts_anew(tmp_path: Path):
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    with serving({"/file": Page(CONTENT, ranges=False)}) as server:
        assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_server_that_answers_another_range_is_not_believed(tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    with serving({"/file": Page(CONTENT, wrong_range=True)}) as server:
        assert get(server, tmp_path).read_bytes() == CONTENT
        assert server.requests == [("/file", "bytes=1000-"), ("/file", None)]


def test_a_partial_file_that_is_complete_or_too_long(tmp_path: Path):
    with serving({"/file": Page(CONTENT)}) as server:
        (tmp_path / "file.part").write_bytes(CONTENT)
        assert get(server, tmp_path).read_bytes() == CONTENT
        (tmp_path / "file").unlink()
        (tmp_path / "file.part").write_bytes(CONTENT + b"more")
        assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_wrong_partial_file_costs_one_more_transfer(tmp_path: Path):
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    with serving({"/file": Page(CONTENT)}) as server:
        assert get(server, tmp_path).read_bytes() == CONTENT
        assert server.requests == [("/file", "bytes=1000-"), ("/file", None)]


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path):
    with (
        serving({"/file": Page(CONTENT[:-1] + b"!")}) as server,
        pytest.raises(TransferError, match=f"/file: wrong checksum, expected {CHECKSUMS[0]}"),
    ):
        get(server, tmp_path)
    assert os.listdir(tmp_path) == []
    assert len(server.requests) == 1


def test_a_damaged_file_of_an_earlier_run_is_replaced(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"damaged")
    with serving({"/file": Page(CONTENT)}) as server:
        assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_connection_that_always_drops_ends_with_the_received_part_kept(tmp_path: Path):
    with (
        serving({"/file": Page(CONTENT, cuts=[10_000] * 20)}) as server,
        pytest.raises(TransferError, match="the connection ended after 50000 of 900000 bytes"),
    ):
        get(server, tmp_path)
    assert len(server.requests) == download.ATTEMPTS
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:50_000]
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_http_error_is_named_and_not_repeated(tmp_path: Path, status: int):
    with (
        serving({"/file": Page(CONTENT, status=status)}) as server,
        pytest.raises(TransferError, match=r"http://127\.0\.0\.1:\d+/file: "),
    ):
        get(server, tmp_path)
    assert len(server.requests) == 1


def test_no_server_at_all(tmp_path: Path):
    with socket.socket() as unused:  # bound, not listening: connections to it are refused
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(TransferError, match="Connection refused"):
            fetch(Remote(url, "file", CHECKSUMS), tmp_path, timeout=5)


@pytest.mark.parametrize("length", [True, False])
def test_a_file_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: bool):
    monkeypatch.setattr(download, "LIMIT", 100_000)
    with (
        serving({"/file": Page(CONTENT, length=length)}) as server,
        pytest.raises(TransferError, match=r"at most 100000 are accepted|more than 100000 bytes"),
    ):
        get(server, tmp_path)
    assert not (tmp_path / "file").exists()
