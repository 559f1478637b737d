"""As many runs of a grid as fit into a time, trained and probed, for a machine that is lent by the minute."""

import dataclasses
import multiprocessing
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from normlab.runs.checkpoint import portable
from normlab.runs.prepared import PreparedRun, prepare_run
from normlab.specs.grid import PlannedRun
from normlab.specs.probe import ProbeSpec
from normlab.specs.training import RunSpec
from normlab.studies.checkpoints.run import RunProbes

SAID_EVERY = 20.0  # seconds between two lines on how far a run is


class OutOfTime(Exception):
    """The time was over in the middle of a run."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        run: the run.
        seconds: that it took, or None if it was not started or not finished.
        predicted: seconds that its updates alone were expected to take.
        error: why it failed, if it did; the others go on.
    """

    run: RunSpec
    seconds: float | None
    predicted: float = 0.0
    error: str = ""


@dataclass
class Account:
    """How much of a time is left, and what runs turned out to cost beside what was predicted of their updates.

    Attributes:
        end: when the time is over, in seconds of `time.time()` (processes share it).
        outcomes: of the runs so far.
    """

    end: float
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def factor(self) -> float:
        """How much longer whole runs took than was predicted of their updates, at most; 1 at first."""
        return max([1.0, *(o.seconds / o.predicted for o in self.outcomes if o.seconds is not None and o.predicted)])


def by_value(planned: Iterable[PlannedRun]) -> list[RunSpec]:
    """The order in which runs are worth most: block by block, of each one seed of every cell, then a second one."""
    planned, seen = list(planned), Counter[tuple[object, ...]]()
    ranks = []
    for block, run in ((one.block, one.spec) for one in planned):
        cell = (block, run.network, run.norm_layer, run.learning_rate, run.variant)
        ranks.append((block, seen[cell]))
        seen[cell] += 1
    return [one.spec for _, one in sorted(zip(ranks, planned, strict=True), key=lambda pair: pair[0])]


def spend(
    runs: Sequence[RunSpec],
    probe: ProbeSpec,
    data: Path,
    folder: Path,
    seconds: float,
    predict: Callable[[PreparedRun], float],
    side_by_side: int = 1,
) -> list[Outcome]:
    """Train and probe runs in their order until the time is over.

    A run that will not be finished in time, as far as can be told from its own updates and from the runs before it, is
    left out for a shorter one behind it, if there is one; one that is not finished all the same leaves nothing.

    Args:
        runs: in the order of their value.
        probe: what to measure at every checkpoint.
        data: the folder of the prepared images.
        folder: gets `models/<run>/` and `probes/<run>/` as the stages train and probe write them, without checkpoints.
        seconds: the time.
        predict: how many seconds the updates of a run will take; a function of a module, for another process to call.
        side_by_side: how many runs at once, each in a process of its own.

    Returns:
        What became of each run, in the order in which they ended.
    """
    account = Account(time.time() + seconds)
    # one checkpoint at a time is on the disk, and none comes back
    waiting = [dataclasses.replace(run, train=dataclasses.replace(run.train, checkpoints="few")) for run in runs]
    running: dict[Future[Outcome], RunSpec] = {}
    # spawned, not forked: CUDA does not live through a fork
    with ProcessPoolExecutor(side_by_side, mp_context=multiprocessing.get_context("spawn")) as pool:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                run = waiting.pop(0)
                # where nothing waits for its place, a run that may be too long is tried all the same
                choose = predict if len(waiting) + len(running) >= side_by_side else None
                running[pool.submit(measure, run, probe, data, folder, choose, account.end, account.factor)] = run
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                account.outcomes.append(_outcome(future, running.pop(future)))
    return account.outcomes


def _outcome(future: Future[Outcome], run: RunSpec) -> Outcome:
    error = future.exception()
    if error is None:
        return future.result()
    return Outcome(run, None, error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def measure(
    run: RunSpec,
    probe: ProbeSpec,
    data: Path,
    folder: Path,
    predict: Callable[[PreparedRun], float] | None,
    end: float,
    factor: float,
) -> Outcome:
    """Train and probe one run into `folder`, unless it would end after `end` (see `spend`)."""
    start = time.time()
    if start >= end:
        return Outcome(run, None)
    prepared = prepare_run(run, data)
    predicted = predict(prepared) if predict else 0.0
    if time.time() + factor * predicted > end:
        return Outcome(run, None, predicted)
    try:
        _measure(prepared, probe, folder, end)
    except OutOfTime:
        return Outcome(run, None, predicted)
    return Outcome(run, time.time() - start, predicted)


def _measure(prepared: PreparedRun, probe: ProbeSpec, folder: Path, end: float) -> None:
    name = prepared.spec.name
    model, probed = folder / "models" / name, folder / "probes" / name
    probes = RunProbes(prepared.spec, probe, prepared.batches, len(prepared.test.classes))
    for made in (model, probed):
        made.mkdir(parents=True)
    try:
        prepared.train_into(
            model, None, lambda checkpoint: probes.measure(portable(checkpoint)), _Clock(prepared.spec, end)
        )
        probes.write(probed)
    except BaseException:
        shutil.rmtree(model)
        shutil.rmtree(probed)
        raise
    shutil.rmtree(model / "checkpoints")


class _Clock:
    """After every update: stops a run when the time is over, and says now and then how far it is."""

    def __init__(self, run: RunSpec, end: float) -> None:
        self.run, self.end, self._said = run, end, time.time()

    def __call__(self, step: int, values: dict[str, float] | None) -> None:
        now = time.time()
        if now > self.end:
            raise OutOfTime
        if now - self._said >= SAID_EVERY:
            self._said = now
            print(
                f"{self.run.name}: {step + 1:,} of {self.run.train.steps:,} updates, {self.end - now:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
