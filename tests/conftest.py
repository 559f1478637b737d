"""What every test shares: one torch thread a worker, no display, no network, nothing from the user's home."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# set before matplotlib and MLflow are first imported, and inherited by the programs that tests start
os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
for _variable in (
    "MLFLOW_TRACKING_URI",
    "NORMLAB_DATA",
    "GITHUB_STEP_SUMMARY",
    "PRESET",
    "CANARY",
    "JOBS",
    "SCHEDULER",
):
    os.environ.pop(_variable, None)
# a shell starts what it puts in the background with Ctrl-C ignored, which programs inherit: tests of Ctrl-C need it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`pytest -m gpu` imports those files alone that have such tests: a lent machine lacks what others need, as DVC."""
    if config.option.markexpr != "gpu":
        return None
    files = collection_path.rglob("*.py") if collection_path.is_dir() else [collection_path]
    return None if any("mark.gpu" in path.read_text(encoding="utf-8") for path in files) else True


@pytest.fixture(autouse=True, scope="session")
def _one_thread_per_worker() -> None:
    # pytest-xdist starts one worker a core: more threads would only make them wait for each other
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _private_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Settings and caches of the person who runs the tests neither help nor hinder."""
    home = tmp_path_factory.mktemp("home")
    for variable, folder in (
        ("HOME", home),
        ("XDG_CONFIG_HOME", home / ".config"),
        ("XDG_CACHE_HOME", home / ".cache"),
        ("IPYTHONDIR", home / ".ipython"),
        ("JUPYTER_CONFIG_DIR", home / ".jupyter"),
        ("MPLCONFIGDIR", home / ".matplotlib"),
    ):
        os.environ[variable] = str(folder)
    # git in temporary repositories: an author, no system or user settings
    os.environ.update(
        GIT_CONFIG_NOSYSTEM="1",
        GIT_AUTHOR_NAME="tests",
        GIT_AUTHOR_EMAIL="tests@localhost",
        GIT_COMMITTER_NAME="tests",
        GIT_COMMITTER_EMAIL="tests@localhost",
    )


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> None:
    """Connections leave this machine in no test: anything but loopback and local sockets is refused."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            host = str(address[0])
            if not (host in ("localhost", "::1") or host.startswith("127.")):
                raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]


@pytest.fixture(autouse=True)
def _forgotten_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A module that a test wrote and imported is not the next test's module of that name."""
    before = set(sys.modules)
    yield
    base = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(base):
            del sys.modules[name]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this repository."""
    return Path(__file__).resolve().parent.parent
