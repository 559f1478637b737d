"""All stages of a study, side by side: one process decides what is stale, starts jobs, and records what they made."""

import dataclasses
import heapq
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from normlab.scheduling.dvc_repo import Pipeline
from normlab.scheduling.jobs import Ended, Job, Jobs, log_of
from normlab.scheduling.order import Durations, ranks
from normlab.specs.strict import InputError

RANKED_EVERY = 5.0  # seconds, at least


class Watcher(Protocol):
    """Who is told what happens."""

    def started(self, name: str) -> None:
        """A stage runs."""

    def done(self, name: str, how: str, seconds: float) -> None:
        """A stage is as it should be: it "ran", was "restored" from the cache, or "did not change"."""

    def failed(self, ended: Ended, log: Path) -> None:
        """A stage failed."""

    def look(self, running: Collection[Job]) -> None:
        """Time passes."""


@dataclass
class Outcome:
    """What became of the stages: how many ran, which failed, which had to be left out because of them."""

    ran: int = 0
    restored: int = 0
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Reproduction:
    """One pass over a pipeline; `run` it once.

    A stage that fails does not stop those that do not need its outputs.

    Args:
        pipeline: its stages.
        jobs: where they run.
        watcher: is told.
        durations: say which stage is started first, and are kept up to date.
        stopping: asked between two steps; where it says yes, jobs are ended and the pass with them.
    """

    def __init__(
        self, pipeline: Pipeline, jobs: Jobs, watcher: Watcher, durations: Durations, stopping: Callable[[], bool]
    ) -> None:
        self._pipeline, self._jobs, self._watcher = pipeline, jobs, watcher
        self._durations, self._stopping = durations, stopping
        self._waiting = {name: set(needed) for name, needed in pipeline.needs.items()}
        self._followers: dict[str, list[str]] = {name: [] for name in pipeline.names}
        for name, needed in pipeline.needs.items():
            for one in needed:
                self._followers[one].append(name)
        # heaps: what waits for nothing any more, and of that what has changed
        self._ready = [(0.0, 0, name) for name in pipeline.names if not self._waiting[name]]
        self._stale: list[tuple[float, int, str]] = []
        self._rank()
        self._left = set(pipeline.names)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Bring every stage up to date that can be.

        Raises:
            KeyboardInterrupt: `stopping` said so; dvc.lock holds what was done.
        """
        try:
            while self._ready or self._stale or self._jobs.running():
                if self._stopping():
                    for one in self._jobs.wait(0.0):
                        self._take(one)  # what has ended is not lost
                    raise KeyboardInterrupt
                self._start()
                if self._ready:
                    self._look_at(heapq.heappop(self._ready)[2])
                self._watcher.look(self._jobs.running())
                ended = self._jobs.wait(0.0 if self._ready else 0.5)
                if ended:
                    self._start()  # before what is made is recorded, which takes a while
                for one in ended:
                    self._take(one)
                self._pipeline.write_lock(now=False)
        finally:
            self._jobs.stop()
            self._durations.save()
        self.outcome.left_out = [name for name in self._pipeline.names if name in self._left]
        return self.outcome

    def _rank(self) -> None:
        """Put the longest chains first, by all that is known of how long stages take."""
        rank = ranks(self._pipeline.needs, self._durations.expected(self._pipeline.names))
        self._order = {name: (-rank[name], place, name) for place, name in enumerate(self._pipeline.names)}
        self._ready = sorted(self._order[name] for _, _, name in self._ready)
        self._stale = sorted(self._order[name] for _, _, name in self._stale)
        self._rank_next = time.monotonic() + RANKED_EVERY

    def _look_at(self, name: str) -> None:
        """Find out whether a stage that has all it needs is out of date."""
        try:
            if self._pipeline.is_current(name):
                self._done(name, "did not change")
            else:
                heapq.heappush(self._stale, self._order[name])
        except InputError as error:
            self._fail(Ended(name, 1, 0.0, str(error)))

    def _start(self) -> None:
        """Begin as many jobs as there is room for, the longest first; what the run cache holds needs none."""
        while self._stale and self._jobs.free(self._stale[0][2]):
            name = heapq.heappop(self._stale)[2]
            try:
                if self._pipeline.restore(name):
                    self.outcome.restored += 1
                    self._done(name, "restored")
                    continue
            except InputError as error:
                self._fail(Ended(name, 1, 0.0, str(error)))
                continue
            self._watcher.started(name)
            self._jobs.start(job_of(self._pipeline, name))

    def _take(self, ended: Ended) -> None:
        if ended.status:
            self._fail(ended)
            return
        try:
            self._pipeline.record(ended.name)
        except InputError as error:
            self._fail(dataclasses.replace(ended, status=1, reason=str(error)))
            return
        self._durations.measured(ended.name, ended.seconds)
        if time.monotonic() > self._rank_next:
            self._rank()
        self.outcome.ran += 1
        self._done(ended.name, "ran", ended.seconds)

    def _done(self, name: str, how: str, seconds: float = 0.0) -> None:
        self._left.discard(name)
        for follower in self._followers[name]:
            self._waiting[follower].discard(name)
            if not self._waiting[follower]:
                heapq.heappush(self._ready, self._order[follower])
        self._watcher.done(name, how, seconds)

    def _fail(self, ended: Ended) -> None:
        self._left.discard(ended.name)
        self.outcome.failed.append(ended.name)
        self._watcher.failed(ended, log_of(ended.name))


def job_of(pipeline: Pipeline, name: str) -> Job:
    """The job that runs a stage."""
    log = Path(os.path.abspath(log_of(name)))
    return Job(name, pipeline.commands(name), pipeline.folder(name), pipeline.environment(name), log)
