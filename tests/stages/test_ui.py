"""`make ui`: a port is a number, and only this machine is served."""

import os
from pathlib import Path

import pytest

from normlab.specs.strict import InputError
from normlab.stages import ui


@pytest.mark.parametrize("port", ["x; touch X", "80", "65536", "5000 --host 0.0.0.0", "٥٠٠٠", "-1", "5e3"])
def test_a_port_is_a_number_of_an_unprivileged_port(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(InputError, match="PORT: expected a number in 1024 … 65535"):
        ui.main([])


def test_the_server_listens_on_loopback_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: started.append(arguments))
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # which main sets, for as long as it is not set
    ui.main(["--root", str(tmp_path)])
    assert "http://127.0.0.1:5000/" in capsys.readouterr().out
    (arguments,) = started
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert arguments[arguments.index("--workers") + 1] == "1"  # each loads MLflow before anybody is answered
    assert arguments[arguments.index("--backend-store-uri") + 1] == f"sqlite:///{tmp_path.resolve()}/mlflow.db"


def test_links_open_the_tables_of_runs_trainings_first() -> None:
    found = {"Default": 0, "normlab-claims": 1, "normlab-dln": 2, "normlab-resnet": 3, "normlab-vgg": 4, "mine": 5}
    lines = ui.links("http://127.0.0.1:5000", found)
    assert lines[0] == "resnet   http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning"
    assert [line.split()[0] for line in lines[:-2]] == ["resnet", "vgg", "claims", "dln"]
    assert "close it" in lines[-2]
    assert "tags.current = 'true'" in lines[-1]
    assert "make repro" in ui.links("http://127.0.0.1:5000", {"Default": 0})[0]


def test_a_server_elsewhere_is_named_and_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("something was started"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://runs.example:5000")
    ui.main([])
    assert "https://runs.example:5000" in capsys.readouterr().out
