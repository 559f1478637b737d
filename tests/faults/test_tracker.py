"""A training under an MLflow server that is away, silent, killed or frozen ends with the bytes of one without.

What it costs is one line and the patience of a request or two, not the minutes of MLflow's own retries.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import tiny
from tests.tracking.server import free_port, running_server

from normlab.stages import command, new_run
from normlab.tracking.live import LiveRun

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
whole = pytest.mark.skipif("NORMLAB_FAULTS" not in os.environ, reason="a server of MLflow each: make faults")
PATIENCE = 2  # seconds that a request waits
# A start and two writes at the end that each ask twice are 12 s; importing MLflow on a machine that is busy with other
# things took 60 s. MLflow's own patience is 7 retries of 120 s for every request.
BOUND = 300.0
POINT = ["--network", "vgg11", "--norm-layer", "noisy_batch", "--learning-rate", "0.1", "--seed", "0"]
Event = Callable[[], object]


@pytest.fixture(autouse=True)
def _prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(PATIENCE))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    (tmp_path / "params.yaml").write_text(tiny.PARAMS)
    tiny.write_data(tmp_path / "data/prepared")


def _train(out: str, on_step: Callable[[int, dict[str, float] | None], None] = lambda step, values: None) -> None:
    run, _ = new_run.load(new_run.parser(None).parse_args([*POINT, "--out", out]))
    with command.new_folder(Path(out)) as folder:
        run.train_into(folder, None, on_step=on_step)


def _train_live(address: str, monkeypatch: pytest.MonkeyPatch, at: int = 3, event: Event = lambda: None) -> float:
    """Train with every step reported to the server, where something happens after step `at`; seconds it took."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    begun = time.monotonic()
    with LiveRun(tiny.run_spec("noisy_batch"), every=0.0) as live:

        def on_step(step: int, values: dict[str, float] | None) -> None:
            live.log(step, values or {"loss": float(step)})
            if step == at:
                event()

        _train("live", on_step)
    return time.monotonic() - begun


def _files(out: str) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(Path(out).rglob("*")) if path.is_file()}


def _same_bytes_one_line(seconds: float, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert caplog.messages == []  # outside of pytest they would be printed, too
    assert "live tracking is off, the training goes on: " in lines[0]
    assert seconds < BOUND
    _train("alone")
    assert _files("live") == _files("alone")
    assert len(_files("live")) > 5


def _dead() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}"


def _silent() -> Iterator[str]:
    """It accepts every connection, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("server", [_dead, _silent])
def test_a_server_that_does_not_answer(
    server: Callable[[], Iterator[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for address in server():
        _same_bytes_one_line(_train_live(address, monkeypatch), capsys, caplog)


@whole
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_server_that_goes_away_while_a_training_reports_to_it(
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "server").mkdir()
    with running_server(tmp_path / "server") as server:
        seconds = _train_live(server.address, monkeypatch, event=lambda: server.signal(number))
        _same_bytes_one_line(seconds, capsys, caplog)
