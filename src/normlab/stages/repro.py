"""Program `repro`: what `make repro` does for `dvc repro`, with stages side by side. Not a DVC stage: it runs them."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from normlab.scheduling.display import Display
from normlab.scheduling.dvc_repo import Pipeline, open_pipeline
from normlab.scheduling.jobs import cores
from normlab.scheduling.local_jobs import ONE_THREAD, LocalJobs
from normlab.scheduling.machines import RemoteJobs, checked_address, committed, connected
from normlab.scheduling.order import Durations
from normlab.scheduling.reproduction import Reproduction
from normlab.specs.strict import InputError, load_params
from normlab.stages import command


def number_of_jobs(text: str) -> int:
    """JOBS as a number of at least 1; "" is one for each core that this process may use.

    Raises:
        InputError: it is something else.
    """
    if not text:
        return cores()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise InputError(f"JOBS: expected a number from 1 to 1000, got {text!r}")
    return int(text)


class Stop:
    """Ctrl-C and SIGTERM: asked for between two steps, so that nothing of DVC is cut short; a second one cuts it."""

    def __init__(self, jobs: LocalJobs | RemoteJobs) -> None:
        self._jobs, self.number = jobs, 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)

    def __call__(self) -> bool:
        return bool(self.number)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number
        self._jobs.wake()


@contextmanager
def places(pipeline: Pipeline, count: int, scheduler: str) -> Iterator[LocalJobs | RemoteJobs]:
    """Where the stages run: `count` at a time here, or on the workers of a scheduler."""
    here = LocalJobs(count, pipeline.programs())
    if not scheduler:
        yield here
        return
    device = str(load_params("params.yaml").get("train", {}).get("device", "auto"))
    commit = committed(Path())
    with connected(scheduler) as client:
        jobs = RemoteJobs(client, pipeline, here, commit, device)
        pipeline.pulling = True
        pipeline.fetch_runs()
        yield jobs


def side_by_side(count: int, scheduler: str = "") -> None:
    """Run the stale stages of the repository in the working directory.

    Raises:
        InputError: DVC refuses the pipeline, another one is at work, or the workers cannot be used.
        SystemExit: with status 1, a stage failed.
    """
    with open_pipeline(Path()) as pipeline, places(pipeline, count, scheduler) as jobs:
        stop = Stop(jobs)
        display = Display(len(pipeline.names))
        try:
            outcome = Reproduction(pipeline, jobs, display, Durations(), stop).run()
        except KeyboardInterrupt:
            if stop.number == signal.SIGTERM:
                raise SystemExit(128 + signal.SIGTERM) from None
            raise
        finally:
            display.close()
    print(f"{outcome.ran} stages ran, {outcome.restored} came from the cache, {len(pipeline.names)} in all")
    if outcome.failed:
        left = f"; not run because of that: {', '.join(outcome.left_out)}" if outcome.left_out else ""
        raise SystemExit(f"failed: {', '.join(outcome.failed)}{left}")


def main(argv: list[str] | None = None) -> None:
    """Bring all stages up to date: JOBS at a time, by default one a core; JOBS=1 is `dvc repro`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--jobs", default=os.environ.get("JOBS", ""), help="stages at a time; default: JOBS, or cores")
    parser.add_argument(
        "--scheduler", default=os.environ.get("SCHEDULER", ""), help="address of a Dask scheduler; default: SCHEDULER"
    )
    args = parser.parse_args(argv)
    count = number_of_jobs(args.jobs)
    scheduler = checked_address(args.scheduler) if args.scheduler else ""
    if count == 1 and not scheduler:
        os.execve(sys.executable, [sys.executable, "-m", "dvc", "repro"], {**os.environ, **ONE_THREAD})
    side_by_side(count, scheduler)


if __name__ == "__main__":
    command.run(main)
