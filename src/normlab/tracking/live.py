"""A training that can be watched in MLflow while it runs."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from normlab.specs.training import RunSpec
from normlab.tracking.names import live_series, thin
from normlab.tracking.store import CURRENT, PROCESS, UNFINISHED, Store, open_store, store_uri
from normlab.tracking.tracked import flatten, full_tags, training_labels

POINTS = 20  # steps that one write stores: the rest follows when the run is published
PATIENCE = 3  # writes in a row that may find the store in use by others
SYSTEM_EVERY = 10.0  # seconds between two looks at the machine's load


class LiveRun:
    """A run that is visible while it trains; `publish` replaces it by the complete one from the files.

    Whatever goes wrong with the tracker is said once on stderr and ends the tracking, never the training. A store that
    other trainings are writing to is tried again at the next write.

    Args:
        run: the run that trains.
        root: the repository.
        every: seconds between two writes.
        system_every: seconds between two looks at the load of the machine.
    """

    def __init__(
        self, run: RunSpec, root: Path = Path(), every: float = 10.0, system_every: float = SYSTEM_EVERY
    ) -> None:
        self.run, self.root, self.every, self.system_every = run, root, every, system_every
        self._store: Store | None = None
        self._run_id = ""
        self._monitor: Any = None
        self._pending: list[tuple[int, Mapping[str, float]]] = []
        self._flushed = time.monotonic()
        self._in_use = 0

    def __enter__(self) -> "LiveRun":
        self._attempt(self._start)
        return self

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Note the values of `step`; they are written together with others, at most `POINTS` steps a write."""
        if self._store is not None:
            self._pending.append((step, dict(values)))
            if time.monotonic() - self._flushed >= self.every:
                self._attempt(self._flush)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        if self._monitor is not None:
            self._attempt(self._monitor.finish)
        for action in (self._flush, lambda: self._end(status)):
            if self._store is not None:
                self._attempt(action)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
            self._in_use = 0
        except ModuleNotFoundError as error:
            self._store = None
            if error.name not in ("mlflow", "filelock"):  # a machine without MLflow trains in silence
                self._warn(error)
        except Exception as error:
            self._in_use += "database is locked" in str(error)
            if not 0 < self._in_use <= PATIENCE or self._store is None:
                self._store = None
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        reason = " ".join(str(error).split())[:300]
        print(f"{self.run.name}: live tracking is off, the training goes on: {reason}", file=sys.stderr)

    def _start(self) -> None:
        store = open_store(store_uri(self.root), self.root)
        point = {key: str(value) for key, value in self.run.keys.items() if key != "study" and value != ""}
        tags = {**point, "dvc_stage": f"train@{self.run.name}", "spec_digest": self.run.digest}
        tags |= {UNFINISHED: "true", CURRENT: "true", PROCESS: str(os.getpid())}
        tags = full_tags(self.run.study, tags, self.root) | training_labels(self.run, self.root)
        self._run_id = store.begin(self.run.study, self.run.name, tags, flatten(self.run.settings))
        self._monitor = store.watch_system(self._run_id, self.system_every)
        self._store = store

    def _flush(self) -> None:
        if self._store is None:
            return
        self._flushed = time.monotonic()
        self._store.log(self._run_id, live_series(thin(self._pending, POINTS)), round(time.time() * 1000))
        self._pending = []

    def _end(self, status: str) -> None:
        if self._store is not None:
            self._store.client.set_terminated(self._run_id, status)
