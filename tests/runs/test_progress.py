"""What a person sees of a training: times by step, and a live run for the long ones alone."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from tests import tiny

from normlab.runs import progress
from normlab.runs.cost import Cost
from normlab.runs.progress import LIVE_AFTER_SECONDS, LOGS, StepLog


def test_a_training_that_goes_on_has_the_seconds_of_its_own_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tiny.run_spec("none")
    with StepLog(run, Cost(1.0, 0, 0, 0)) as log:
        clock = iter((log._start + 1.0, log._start + 3.0))
        monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
        for step in (4, 5):
            log(step, {"loss": 2.0})
        assert (log._bar.initial, log._bar.n) == (4, 6)
    times = pd.read_csv(LOGS / f"{run.name}.csv")
    assert times["step"].tolist() == [4, 5]
    assert times["seconds"].tolist() == pytest.approx([1.0, 3.0], abs=1e-6)  # of a clock that counts far more seconds


@pytest.mark.parametrize(("seconds", "live"), [(LIVE_AFTER_SECONDS - 1, False), (LIVE_AFTER_SECONDS, True)])
def test_a_long_training_alone_is_shown_live(
    seconds: float, live: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged, names = [], []

    @contextlib.contextmanager
    def live_run(run: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(log=lambda step, values: logged.append((step, values)))

    def imported(name: str) -> SimpleNamespace:
        names.append(name)
        return SimpleNamespace(LiveRun=live_run)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "importlib", SimpleNamespace(import_module=imported))
    start = time.perf_counter()
    with StepLog(tiny.run_spec("none"), Cost(seconds, 0, 0, 0)) as log:
        log(0, None)  # nothing was read after this update
        log(1, {"loss": 2.0})
    assert names == ["normlab.tracking.live"] * live
    assert logged == [(1, {"loss": 2.0})] * live
    times = pd.read_csv(LOGS / f"{log.run.name}.csv")["seconds"]
    assert 0 <= times[0] <= times[1] <= time.perf_counter() - start
