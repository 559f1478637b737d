"""Program `repro`: what `make repro` does for `dvc repro`, with stages side by side. Not a DVC stage: it runs them."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from normlab.scheduling.local_jobs import ONE_THREAD, LocalJobs, cores
from normlab.specs.strict import InputError
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

    def __init__(self, jobs: LocalJobs) -> None:
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


def side_by_side(count: int) -> None:
    """Run the stale stages of the repository in the working directory, `count` at a time.

    Raises:
        InputError: DVC refuses the pipeline, or another one is at work.
        SystemExit: with status 1, a stage failed.
    """
    from normlab.scheduling.display import Display
    from normlab.scheduling.dvc_repo import open_pipeline  # half a second, not needed to refuse a wrong JOBS
    from normlab.scheduling.order import Durations
    from normlab.scheduling.reproduction import Reproduction

    with open_pipeline(Path()) as pipeline:
        jobs = LocalJobs(count, pipeline.programs())
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
    args = parser.parse_args(argv)
    count = number_of_jobs(args.jobs)
    if count == 1:
        os.execve(sys.executable, [sys.executable, "-m", "dvc", "repro"], {**os.environ, **ONE_THREAD})
    side_by_side(count)


if __name__ == "__main__":
    command.run(main)
