"""What a job is, wherever it runs: the commands of one stage, and how they ended."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LOGS = Path("logs/stages")


@dataclass(frozen=True)
class Job:
    """The commands of one stage.

    Attributes:
        name: the stage.
        commands: the lines of its `cmd`, run one after the other until one fails.
        folder: the folder that they run in.
        environment: what the surroundings do not say already.
        log: the file that takes all they say.
    """

    name: str
    commands: tuple[str, ...]
    folder: str
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path = LOGS / "stage.log"


@dataclass(frozen=True)
class Ended:
    """A job that ended: with 0 if its stage has written its outputs, else `reason` says why not."""

    name: str
    status: int
    seconds: float
    reason: str = ""


class Jobs(Protocol):
    """A place where jobs run."""

    def free(self, name: str) -> bool:
        """Whether one more job can be started now, that of this stage."""

    def start(self, job: Job) -> None:
        """Begin a job."""

    def running(self) -> Collection[Job]:
        """The jobs that were started and have not ended, the oldest first."""

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that ended since the last call; if none did, wait so long for one, or until `wake`."""

    def stop(self) -> None:
        """End what runs, and all that it has started."""


def log_of(name: str) -> Path:
    """Where the job of a stage writes what it says."""
    return LOGS / f"{name.replace('/', '_')}.log"


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a log; of a progress bar, which rewrites its line, what it showed last."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 200 * (count + 20)))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    shown = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in shown if line][-count:]


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
