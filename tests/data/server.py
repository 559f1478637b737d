"""A web server on loopback whose faults are chosen by the test."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Page:
    """What one address does.

    Attributes:
        content: the file.
        ranges: whether Range requests are honored.
        cuts: for the first requests, the number of bytes after which each connection is dropped.
        status: another answer than 200.
        wrong_range: answer Range requests from the start of the file, labelled so.
        length: announce Content-Length.
    """

    content: bytes
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    status: int = 200
    wrong_range: bool = False
    length: bool = True


@dataclass
class Server:
    """The running server: its address, its pages, and the (path, Range header) of each request so far."""

    url: str
    pages: dict[str, Page]
    requests: list[tuple[str, str | None]]


@contextmanager
def serving(pages: dict[str, Page]) -> Iterator[Server]:
    """Serve `pages` on a free port of 127.0.0.1 until the block ends."""
    requests: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            requests.append((self.path, wanted))
            page = pages.get(self.path)
            if page is None or page.status != 200:
                self.send_error(page.status if page else 404)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and page.ranges else 0
            total = len(page.content)
            if wanted and page.ranges and start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if page.wrong_range:
                start = 0
            body = page.content[start:]
            self.send_response(206 if wanted and page.ranges else 200)
            if wanted and page.ranges:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if page.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: page.cuts.pop(0)] if page.cuts else body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", pages, requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
