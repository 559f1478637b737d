"""What a person sees while stages run side by side: a line for each that ended, and what the running ones say last."""

import shutil
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

from normlab.scheduling.jobs import Ended, Job, last_lines, log_of

REDRAWN_EVERY, SAID_EVERY = 0.5, 30.0  # seconds: on a terminal, and elsewhere
LINES_OF_A_FAILURE = 15
NOTE = "note: "  # how a line of a stage begins that a person should read


class Display:
    """Writes to `stream`, usually stderr.

    On a terminal the last lines are the running stages with their own progress, redrawn in place. Elsewhere each start
    and end is a line, and from time to time each running stage's progress.

    Args:
        total: how many stages there are.
        stream: where to.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._total, self._settled, self._drawn = total, 0, 0
        self._next = time.monotonic() + (REDRAWN_EVERY if self._live else SAID_EVERY)
        self._begun: dict[str, float] = {}

    def started(self, name: str) -> None:
        """A stage runs."""
        self._begun[name] = time.monotonic()
        if not self._live:
            self._say(f"running {name}")

    def done(self, name: str, how: str, seconds: float) -> None:
        """A stage is as it should be; those that did not change are only counted."""
        self._settled += 1
        if how == "did not change":
            return
        took = f" in {seconds:.0f} s" if how == "ran" else ""
        self._say(f"[{self._settled}/{self._total}] {name} {how}{took}")
        if how == "ran":
            for line in last_lines(log_of(name), 200):
                if line.startswith(NOTE):
                    self._say(f"    {line}")

    def failed(self, ended: Ended, log: Path) -> None:
        """A stage failed: why, and the end of what it said."""
        self._settled += 1
        self._say(f"[{self._settled}/{self._total}] {ended.name} FAILED: {ended.reason}")
        if ended.seconds:  # else nothing ran
            for line in last_lines(log, LINES_OF_A_FAILURE):
                self._say(f"    {line}")
            self._say(f"    all of it: {log}")

    def look(self, running: Collection[Job]) -> None:
        """Show what the running stages say, if it is time again."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (REDRAWN_EVERY if self._live else SAID_EVERY)
        lines = [self._progress(job, now) for job in running]
        if self._live:
            self._erase()
            width = shutil.get_terminal_size().columns - 1
            shown = [f"[{self._settled}/{self._total}] {len(lines)} running", *lines][: self._most()]
            self._stream.write("".join(f"{line[:width]}\n" for line in shown))
            self._drawn = len(shown)
        else:
            self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()

    def close(self) -> None:
        """Take the running stages from the terminal."""
        self._erase()
        self._stream.flush()

    def _progress(self, job: Job, now: float) -> str:
        said = last_lines(job.log, 1)
        seconds = now - self._begun.get(job.name, now)
        return f"  {job.name} {seconds:.0f} s: {said[0].strip() if said else 'begins'}"

    def _say(self, line: str) -> None:
        self._erase()
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    @staticmethod
    def _most() -> int:
        return max(2, shutil.get_terminal_size().lines - 2)
