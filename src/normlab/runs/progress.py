"""What a person sees of a long training while it runs; none of it enters a versioned output."""

import contextlib
import importlib
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
from tqdm import tqdm

from normlab.runs.cost import Cost
from normlab.specs.training import RunSpec

LIVE_AFTER_SECONDS = 60.0
LOGS = Path("logs/wall-times")


class StepLog:
    """A progress bar with loss and steps/s, wall times in `logs/`, and for long trainings a live MLflow run.

    Use it as a context and call it as `fit`'s `on_step`.

    Args:
        run: the run.
        cost: its estimated cost; from `LIVE_AFTER_SECONDS` on it is shown live.
    """

    def __init__(self, run: RunSpec, cost: Cost) -> None:
        self.run, self.cost = run, cost
        self._first = 0
        self._seconds: list[float] = []
        self._stack = contextlib.ExitStack()
        self._live: Any = None

    def __enter__(self) -> "StepLog":
        total = self.run.train.steps
        self._bar = self._stack.enter_context(tqdm(total=total, desc=self.run.name, unit="step", mininterval=2))
        if self.cost.seconds >= LIVE_AFTER_SECONDS:
            # by name: the tracker is a spectator, and editing it must not make any training stale
            tracking = importlib.import_module("normlab.tracking.live")
            self._live = self._stack.enter_context(tracking.LiveRun(self.run))
        self._start = time.perf_counter()
        return self

    def __call__(self, step: int, values: dict[str, float] | None) -> None:
        """After update `step`; `values` are the latest measured ones, where they were read."""
        if not self._seconds:  # a training that goes on does not start at step 0
            self._first = self._bar.initial = self._bar.n = step
        self._seconds.append(time.perf_counter() - self._start)
        self._bar.update()
        if values is not None:
            self._bar.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
            if self._live is not None:
                self._live.log(step, values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        LOGS.mkdir(parents=True, exist_ok=True)
        times = pd.DataFrame({"step": range(self._first, self._first + len(self._seconds)), "seconds": self._seconds})
        times.to_csv(LOGS / f"{self.run.name}.csv", index=False)
