"""Jobs on this machine: processes forked from one that has loaded torch already, each with one thread."""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import ModuleType

from normlab.scheduling import child
from normlab.scheduling.jobs import Ended, Job
from normlab.scheduling.warm import PRELOAD

# One thread a job: as many jobs as cores use a machine better than one job with all of them. Read when numpy is loaded,
# so it is set before; torch asks for one thread itself. Arrow's allocator would be a second thread in what is forked.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
ALONE = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
ALWAYS = ("torch", "torch.optim", "pandas")
_CONTEXT = multiprocessing.get_context("forkserver")
GRACE = 10.0  # seconds that a job has to end in an orderly way


class LocalJobs:
    """At most `count` jobs at a time.

    Args:
        count: how many.
        programs: the modules that jobs will run; they are loaded before the first of them starts.
    """

    def __init__(self, count: int, programs: Iterable[str] = ()) -> None:
        self._count = count
        self._programs = tuple(dict.fromkeys(programs))
        self._running: dict[str, tuple[Job, BaseProcess, float]] = {}
        self._woken, self._alarm = os.pipe()
        os.set_blocking(self._woken, False)

    def free(self, name: str) -> bool:
        """Whether one more job can be started now."""
        return len(self._running) < self._count

    def start(self, job: Job) -> None:
        """Begin a job; the first one waits until the fork server has loaded what all need."""
        _start_server([*ALWAYS, *self._programs] if self._programs else [])
        job = dataclasses.replace(job, environment={**os.environ, **ONE_THREAD, **job.environment})
        process = _CONTEXT.Process(target=child.run, args=(job,), name=job.name)
        with _nameless_program():
            process.start()
        self._running[job.name] = (job, process, time.monotonic())

    def running(self) -> Collection[Job]:
        """The jobs that were started and have not ended, the oldest first."""
        return [job for job, _, _ in self._running.values()]

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that ended; if none did, wait so long for one, or until `wake`."""
        sentinels = {process.sentinel: name for name, (_, process, _) in self._running.items()}
        ready = wait([*sentinels, self._woken], timeout=seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 1000)
        return [self._take(sentinels[one]) for one in ready if one in sentinels]  # type: ignore[index]

    def wake(self) -> None:
        """Let `wait` return; can be called by a signal's handler."""
        os.write(self._alarm, b"x")

    def _take(self, name: str) -> Ended:
        job, process, begun = self._running.pop(name)
        process.join()
        _kill_group(process, signal.SIGKILL)  # what it may have left behind
        status = 1 if process.exitcode is None else process.exitcode
        reason = f"killed by signal {-status}" if status < 0 else f"exit status {status}" if status else ""
        return Ended(job.name, status, time.monotonic() - begun, reason)

    def stop(self, grace: float = GRACE) -> None:
        """End all jobs: they are asked, and after `grace` seconds killed with all that they have started."""
        processes = [process for _, process, _ in self._running.values()]
        for process in processes:
            _kill_group(process, signal.SIGTERM)
        wait_until = time.monotonic() + grace
        while (alive := [p.sentinel for p in processes if p.exitcode is None]) and time.monotonic() < wait_until:
            wait(alive, timeout=wait_until - time.monotonic())
        for process in processes:
            _kill_group(process, signal.SIGKILL)
            process.join(timeout=GRACE)
        self._running.clear()


def _start_server(modules: list[str]) -> None:
    """The process that all jobs are forked from; it starts by a fresh program, so this one may have threads."""
    before = dict(os.environ)
    os.environ.update({PRELOAD: ",".join(modules), **ONE_THREAD, **ALONE})
    try:
        _CONTEXT.set_forkserver_preload(["normlab.scheduling.warm"])
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _nameless_program() -> Iterator[None]:
    """For the time of the block `__main__` has no source: a new process imports the program that starts it, if it can.

    That is for functions which are defined there. Here it would load DVC in every job: 0.2 s for nothing.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _kill_group(process: BaseProcess, number: int) -> None:
    """Send a signal to a job and all in its group; before it has made the group, to the job."""
    assert process.pid
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        if process.exitcode is None:
            os.kill(process.pid, number)
    except PermissionError:
        pass  # on macOS: all that is left has ended
