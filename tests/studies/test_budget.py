"""A time is spent on the runs that are worth most, is never overdrawn, and what is finished is whole."""

import dataclasses
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests import tiny

from normlab.specs.grid import PlannedRun
from normlab.specs.probe import ProbeSpec
from normlab.specs.training import RunSpec
from normlab.studies import budget
from normlab.studies.budget import Account, Outcome, OutOfTime, _Clock, _outcome, by_value, measure

PROBE = ProbeSpec(step_sizes=(1.0,), random_directions=False, units=2)


def test_one_seed_of_everything_comes_before_a_second_one() -> None:
    def run(norm_layer: str, seed: int, rate: float = 0.1) -> RunSpec:
        return tiny.run_spec(norm_layer, rate, seed)

    named = [run("none", 3), run("none", 1), run("batch", 3), run("batch", 1), run("batch", 0, 0.5), run("l1", 3)]
    expected = [run("none", 3), run("batch", 3), run("batch", 0, 0.5), run("l1", 3), run("none", 1), run("batch", 1)]
    assert by_value(map(PlannedRun, named)) == expected


def test_another_network_or_variant_is_another_cell() -> None:
    one = tiny.run_spec("none", seed=0)
    others = [one, dataclasses.replace(one, network="resnet20"), dataclasses.replace(one, variant="width=2.0")]
    second = [dataclasses.replace(run, seed=1) for run in others]
    order = [others[0], second[0], others[1], second[1], others[2], second[2]]
    assert by_value(map(PlannedRun, order)) == others + second


def test_a_block_of_the_grid_comes_before_those_below_it() -> None:
    runs = [tiny.run_spec(norm_layer, seed=seed) for norm_layer in ("none", "batch", "l1", "l2") for seed in (0, 1)]
    planned = [PlannedRun(run, block) for run, block in zip(runs, (0, 0, 0, 0, 1, 1, 1, 1), strict=True)]
    order = [(run.norm_layer, run.seed) for run in by_value(reversed(planned))]
    first, second = [("batch", 1), ("none", 1), ("batch", 0), ("none", 0)], [("l2", 1), ("l1", 1), ("l2", 0), ("l1", 0)]
    assert order == first + second


def test_the_account_learns_what_runs_cost_beside_their_updates() -> None:
    account = Account(0.0)
    assert account.factor == 1.0
    for seconds, predicted in ((30.0, 10.0), (None, 5.0), (20.0, 10.0), (1.0, 10.0)):
        account.outcomes.append(Outcome(tiny.run_spec(), seconds, predicted))
    assert account.factor == 3.0
    account.outcomes.append(Outcome(tiny.run_spec(), 50.0))  # nothing was predicted of it
    assert account.factor == 3.0
    assert Account(0.0, account.outcomes[-2:]).factor == 1.0  # a run that took less makes no other one shorter


def test_a_run_that_failed_says_so_in_a_line_and_one_that_ended_is_what_it_returned() -> None:
    run = tiny.run_spec()
    failed: Future[Outcome] = Future()
    failed.set_exception(ValueError("no\n  room"))
    assert _outcome(failed, run) == Outcome(run, None, 0.0, "ValueError: no room")
    ended: Future[Outcome] = Future()
    ended.set_result(Outcome(run, 3.0, 2.0))
    assert _outcome(ended, run) == Outcome(run, 3.0, 2.0)


def test_a_run_is_tried_if_it_is_expected_to_end_with_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that stands at 100: a run of 5 s of updates that may take twice that ends at 110."""
    monkeypatch.setattr(budget, "time", SimpleNamespace(time=lambda: 100.0))
    run = tiny.run_spec("none", steps=1, checkpoint_every=10**6, test_every=10**6, checkpoints="few")
    arguments = run, PROBE, tmp_path / "data", tmp_path / "work"
    assert measure(*arguments, lambda prepared: 5.0, 100.0, 2.0) == Outcome(run, None)  # without a look at the images
    tiny.write_data(tmp_path / "data")
    begun: list[float] = []
    monkeypatch.setattr(budget, "_measure", lambda prepared, probe, folder, end: begun.append(end))
    assert measure(*arguments, lambda prepared: 5.0, 109.5, 2.0) == Outcome(run, None, 5.0)
    assert begun == []
    assert measure(*arguments, lambda prepared: 5.0, 110.0, 2.0) == Outcome(run, 0.0, 5.0)
    assert measure(*arguments, None, 100.5, 1e9) == Outcome(run, 0.0)  # nothing is expected: it is tried
    assert begun == [110.0, 100.5]


def test_a_clock_stops_a_run_after_its_end_and_speaks_every_twenty_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now, run = 100.0, tiny.run_spec("none")
    monkeypatch.setattr(budget, "time", SimpleNamespace(time=lambda: now))
    clock = _Clock(run, 200.0)
    said = []
    for step, now in enumerate((119.5, 120.0, 139.5, 140.5, 160.0, 200.0)):  # noqa: B007
        clock(step, None)
        said.append(capsys.readouterr().err)
    line = f"{run.name}: {{}} of 6 updates, {{}} s left\n".format
    assert said == ["", line(2, 80), "", line(4, 60), "", line(6, 0)]
    now = 200.5
    with pytest.raises(OutOfTime):
        clock(5, None)


@pytest.mark.parametrize(("left", "factor", "steps"), [(-1.0, 1.0, 6), (60.0, 1e9, 6), (4.0, 0.0, 10**5)])
def test_a_run_that_does_not_fit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, factor: float, steps: int
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tiny.write_data(tmp_path / "data")
    run = tiny.run_spec("batch", steps=steps, checkpoint_every=10**6, test_every=10**6, checkpoints="few")
    start = time.time()
    assert measure(run, PROBE, data, tmp_path / "work", lambda prepared: 1.0, start + left, factor).seconds is None
    assert time.time() - start < 60  # the last one was stopped in the middle of some hours
    assert [path for path in (tmp_path / "work").rglob("*") if path.is_file()] == []


def test_a_run_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(budget, "SAID_EVERY", 0.0)
    run = tiny.run_spec("batch", steps=3, checkpoint_every=10**6, test_every=10**6, checkpoints="few")
    measure(run, PROBE, tiny.write_data(tmp_path / "data"), tmp_path / "work", None, time.time() + 600, 1.0)
    said = [line.split(" updates, ")[0] for line in capsys.readouterr().err.splitlines() if " updates, " in line]
    assert said == [f"{run.name}: {step} of 3" for step in (1, 2, 3)]
    left = sorted(path.name for path in (tmp_path / "work").rglob("*") if path.is_file())  # and no checkpoints
    assert left == ["histograms.parquet", "history.parquet", "probes.parquet", "summary.json", "test.parquet"]
