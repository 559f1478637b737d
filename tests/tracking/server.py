"""A real MLflow server on loopback, for tests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 180  # a busy machine imports MLflow slowly


@dataclass(frozen=True)
class Server:
    """A server in a group of processes of its own."""

    address: str
    process: subprocess.Popen[bytes]

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes, as far as there are any."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A server whose store and files are in `folder`; it is killed at the end."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/files"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        _wait_for(server)
        yield server
    finally:
        server.signal(signal.SIGKILL)
        process.wait()


def _wait_for(server: Server) -> None:
    for _ in range(START_SECONDS * 5):
        assert server.process.poll() is None, "the server ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.address}/health", timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError("the server did not start")
