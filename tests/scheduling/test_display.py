"""What a person sees: one line for what ended, on a terminal the progress of what runs."""

import io
from pathlib import Path

import pytest

from normlab.scheduling import display
from normlab.scheduling.display import Display
from normlab.scheduling.jobs import Ended, Job, last_lines, log_of

BAR = "vgg11:  50%|█████     | 100/200 [00:01<00:01]\rvgg11:  89%|████████▉ | 178/200 [01:04<00:03, 5.6step/s]"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = log_of("train@a")
    path.parent.mkdir(parents=True)
    path.write_text(f"vgg11 on cpu: 3 s\nnote: few seeds\n{BAR}")
    return path


def test_the_end_of_a_log_shows_what_a_bar_showed_last(log: Path) -> None:
    assert last_lines(log, 1) == ["vgg11:  89%|████████▉ | 178/200 [01:04<00:03, 5.6step/s]"]
    assert last_lines(log, 10)[:2] == ["vgg11 on cpu: 3 s", "note: few seeds"]
    log.write_text("one\r\n\n" + "x" * 100_000 + "\nlast\r")
    assert last_lines(log, 1) == ["last"]
    assert last_lines(log.with_name("none"), 3) == []


def test_on_a_terminal_the_running_stages_are_redrawn_in_place(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "REDRAWN_EVERY", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    shown = Display(4, stream)
    shown.started("train@a")
    job = Job("train@a", ("true",), ".", log=log)
    shown.look([job])
    assert stream.getvalue() == "[0/4] 1 running\n  train@a 0 s: vgg11:  89%|████████▉ | 178/200 [01:04<00:03\n"
    stream.truncate(0)
    stream.seek(0)
    shown.done("train@a", "ran", 65.4)
    assert stream.getvalue() == "\x1b[2F\x1b[J[1/4] train@a ran in 65 s\n    note: few seeds\n"


def test_elsewhere_lines_are_written_once(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "SAID_EVERY", 0.0)
    stream = io.StringIO()
    shown = Display(4, stream)
    shown.done("check", "did not change", 0.0)
    shown.done("data", "restored", 0.0)
    shown.started("train@a")
    shown.look([Job("train@a", ("true",), ".", log=log)])
    shown.failed(Ended("train@a", 2, 1.0, "exit status 2"), log)
    shown.failed(Ended("probe@a", 1, 0.0, "DVC: no space"), log)
    shown.close()
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "[2/4] data restored",
        "running train@a",
        "  train@a 0 s: vgg11:  89%|████████▉ | 178/200 [01:04<00:03, 5.6step/s]",
    ]
    assert lines[3:5] == ["[3/4] train@a FAILED: exit status 2", "    vgg11 on cpu: 3 s"]
    assert lines[-1] == "[4/4] probe@a FAILED: DVC: no space"
    assert "\x1b" not in stream.getvalue()
