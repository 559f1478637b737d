"""Resume points: whole or not there, put back bit for bit, and only where the rest would have the same bits."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from tests import tiny

from normlab.runs import resume
from normlab.runs.resume import ResumePoints, circumstances
from normlab.runs.training import fit

NOW = {"settings": "a", "torch": "2.15"}
WHOLE = {"step": 5, "circumstances": NOW, "files": {}, "parts": {"a": {"values": torch.zeros(2)}, "b": {}}}


class Counter:
    """A part with a state of every kind that ours have."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"step": 0, "rows": [("loss", 0.5, float("inf"), 3)], "values": torch.zeros(2)}

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


def points(lines: list[str], folder: Path, now: dict[str, str] = NOW, **parts: Counter) -> ResumePoints:
    folder.mkdir(exist_ok=True)
    found = ResumePoints(Path("runs/a"), folder, now, say=lines.append)
    found.add(**parts)
    return found


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In an empty folder, a point of two parts and one file, whose folder is gone; nothing said."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "killed"
    made = points([], folder, a=Counter(), b=Counter())
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/one.pt").write_bytes(b"one")
    made._parts["a"].state_dict()["values"] += 1 / 3
    made.save(5)
    return []


def test_parts_and_files_come_back(lines: list[str], tmp_path: Path) -> None:
    a, b = Counter(), Counter()
    again = points(lines, tmp_path / "again", a=a, b=b)
    assert again.restore()
    assert torch.equal(a.state["values"], torch.zeros(2) + 1 / 3)
    assert torch.equal(b.state["values"], torch.zeros(2))
    assert a.state["rows"] == Counter().state["rows"]
    assert (tmp_path / "again/checkpoints/one.pt").read_bytes() == b"one"
    assert lines == ["runs/a: goes on from step 5, where it was stopped"]
    again.remove()
    assert not points(lines, tmp_path / "third", a=a, b=b).restore()
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("now", "harm", "reason"),
    [
        ({**NOW, "torch": "2.16"}, None, "was made with torch 2.15, now 2.16"),
        ({"settings": "b", "torch": "2.16"}, None, "was made with settings a, now b; torch 2.15, now 2.16"),
        (NOW, lambda place: (place / "files/checkpoints/one.pt").unlink(), "lacks files"),
        (NOW, lambda place: (place / "files/checkpoints/one.pt").write_bytes(b""), "lacks files"),
        (NOW, lambda place: (place / "point.pt").write_bytes(b"PK"), "cannot be read"),
        # whole, but for one thing that is no plain value
        (NOW, lambda place: torch.save({**WHOLE, "more": Path()}, place / "point.pt"), "cannot be read"),
    ],
)
def test_a_point_of_no_use_is_put_aside_with_one_line(
    lines: list[str], tmp_path: Path, now: dict[str, str], harm: Any, reason: str
) -> None:
    if harm is not None:
        harm(tmp_path / "scratch/resume/runs/a")
    a = Counter()
    again = points(lines, tmp_path / "again", now, a=a, b=Counter())
    assert not again.restore()
    assert lines == [f"runs/a: starts from the beginning, because its resume point {reason}"]
    assert torch.equal(a.state["values"], torch.zeros(2))
    assert os.listdir(tmp_path / "again") == []
    again.save(5)  # and from here on there is one again
    assert points([], tmp_path / "third", now, a=a, b=Counter()).restore()


@pytest.mark.parametrize("parts", ["a", "abc", "ac"])
def test_a_point_of_other_parts_is_of_another_computation(lines: list[str], tmp_path: Path, parts: str) -> None:
    assert not points(lines, tmp_path / "again", **{name: Counter() for name in parts}).restore()
    assert lines[0].endswith("is of another computation")


def test_files_of_a_first_point_that_was_never_finished_do_not_stay(lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "scratch/resume/runs/a/point.pt").unlink()
    assert not points(lines, tmp_path / "again", a=Counter(), b=Counter()).restore()
    assert not (tmp_path / "scratch/resume/runs/a").exists()
    assert lines == []


def test_points_are_written_in_their_time(lines: list[str], tmp_path: Path) -> None:
    place = tmp_path / "scratch/resume/runs/a/point.pt"
    now = points(lines, tmp_path / "killed", a=Counter())
    place.unlink()
    now.save_if_due(5)
    assert not place.exists()
    now.interval = 0.0
    now.save_if_due(5)
    assert place.exists()


def test_a_full_disk_costs_the_point_alone(lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = points(lines, tmp_path / "killed", a=Counter(), b=Counter())
    now.interval = 0.0
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda source, target: (_ for _ in ()).throw(OSError(28, "No space left")))
        now.save_if_due(7)
    assert lines == ["runs/a: no resume point of step 7: No space left"]
    assert points(lines, tmp_path / "again", a=Counter(), b=Counter()).restore()
    assert lines[1:] == ["runs/a: goes on from step 5, where it was stopped"]


def test_a_point_is_due_when_the_last_one_or_the_last_attempt_is_old_enough(
    lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(resume, "time", SimpleNamespace(monotonic=lambda: now))
    made = points(lines, tmp_path / "killed", a=Counter())  # an interval of 30 s, begun at 100
    place, full = tmp_path / "scratch/resume/runs/a/point.pt", False
    replaced = os.replace

    def replace(source: Path, target: Path) -> None:
        if full:
            raise OSError("strange")
        replaced(source, target)

    monkeypatch.setattr(os, "replace", replace)
    written = []
    for now, full in ((129.5, False), (130.0, False), (159.5, False), (161.0, True), (190.5, False), (191.0, False)):  # noqa: B007
        place.unlink(missing_ok=True)
        made.save_if_due(int(now))
        written.append(place.exists())
    assert written == [False, True, False, False, False, True]
    assert lines == ["runs/a: no resume point of step 161: strange"]


def test_files_are_copied_where_the_disk_has_no_links(
    lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    assert points(lines, tmp_path / "again", a=Counter(), b=Counter()).restore()
    copy_ = tmp_path / "again/checkpoints/one.pt"
    assert copy_.read_bytes() == b"one"
    assert copy_.stat().st_nlink == 1


def test_an_output_beside_the_working_tree_has_its_points_in_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    for stopped in (True, False):
        made = ResumePoints(Path("../out/b"), tmp_path / "out", NOW)
        made.add(a=Counter())
        assert made.restore() is not stopped
        made.save(3)
    assert (tmp_path / "tree/scratch/resume/up/out/b/point.pt").is_file()
    said = capsys.readouterr().out  # where nothing else takes the line
    assert said == "../out/b: goes on from step 3, where it was stopped\n"


def test_circumstances_are_what_bits_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    made = circumstances("normlab.stages.train", {"seed": 0}, {"digest": "x"}, cpu)
    assert made == circumstances("normlab.stages.train", {"seed": 0}, {"digest": "x"}, cpu)
    others = [
        circumstances("normlab.stages.probe", {"seed": 0}, {"digest": "x"}, cpu),
        circumstances("normlab.stages.train", {"seed": 1}, {"digest": "x"}, cpu),
        circumstances("normlab.stages.train", {"seed": 0}, {"digest": "y"}, cpu),
    ]
    changed = [[name for name in made if made[name] != other[name]] for other in others]
    assert changed == [["source"], ["settings"], ["data"]]
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert circumstances("normlab.stages.train", {"seed": 0}, {"digest": "x"}, cpu)["processor"] == "DEFAULT"


def test_the_source_of_a_network_and_a_normalizer_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text("from below import rms\n")
    (tmp_path / "below.py").write_text("def rms(channels): ...\n")

    def source(**parts: str) -> str:
        return circumstances("normlab.stages.train", {}, {}, torch.device("cpu"), **parts)["source"]

    assert source() != source(normalizer="batch") != source(normalizer="l1")
    assert source(network="vgg11") == source(network="vgg16") != source(network="resnet20")
    before = source(normalizer="mine:rms")
    (tmp_path / "below.py").write_text("def rms(channels): return None\n")
    assert source(normalizer="mine:rms") != before
    assert source(normalizer="torch.nn:BatchNorm2d") != source()


class Stopped(Exception):
    """The end of a process."""


@pytest.mark.parametrize("changes", [{"norm_layer": "batch", "momentum": 0.5}, {"norm_layer": "none", "rate": 1e12}])
def test_a_training_stopped_at_any_step_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tiny.run_spec(learning_rate=changes.pop("rate", 0.1), **changes)
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    seen: dict[int, Any] = {}
    whole = fit(run, batches, test, on_checkpoint=lambda c: seen.update({c.step: copy.deepcopy(c)}))
    assert (whole.diverged_at is None) == (run.learning_rate < 1)

    def stop_at(last: int) -> Callable[[int, object], None]:
        def on_step(step: int, values: object) -> None:
            if step == last:
                raise Stopped

        return on_step

    for last in range(1, len(whole.steps)):
        kept: dict[int, Any] = {}
        made = [points([], tmp_path / "made"), points([], tmp_path / "made")]
        made[0].interval = 0.0
        keep = lambda c, kept=kept: kept.update({c.step: copy.deepcopy(c)})  # noqa: E731
        with pytest.raises(Stopped):
            fit(run, batches, test, on_checkpoint=keep, on_step=stop_at(last), resume=made[0])
        again = fit(run, batches, test, on_checkpoint=keep, resume=made[1])
        made[1].remove()
        pd.testing.assert_frame_equal(again.steps, whole.steps, check_exact=True)
        pd.testing.assert_frame_equal(again.test, whole.test, check_exact=True)
        assert again.diverged_at == whole.diverged_at
        assert list(kept) == list(seen)
        assert all(tiny.same_state(kept[step].model, seen[step].model) for step in seen)
