"""Where the numbers of probes can go: functions of a step and a dict of numbers.

    monitor = Monitor(model, loss_fn, every=100, probes=…)
    log = TensorBoardLogger("runs/1")
    for step, batch in enumerate(batches):
        log(step, monitor(step, batch))

All of them write nothing for an empty dict, keep NaN and infinity as their backend can, and can be closed and used in a
`with` block. A step that is no number, or numbers in no dict, are refused with a TypeError before anything is
written. The packages are imported when a logger is made.
"""

import csv
import operator
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from numbers import Real
from pathlib import Path
from typing import Any

from normlab.probes.vectors import shown


class CsvLogger(AbstractContextManager["CsvLogger"]):
    """Rows `step,name,value` in a file, appended and flushed at once; values read back as the same floats.

    Args:
        path: the file; an existing one is continued, after its header was checked.

    Raises:
        ValueError: the file exists and is no table of these three columns, or its last row has no end, as after a kill
            or on a full disk: its value may be cut then. The file stays as it is.
    """

    COLUMNS = ("step", "name", "value")

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        begun = path.exists() and path.stat().st_size > 0
        if begun:
            self._check(path)
        self._file = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not begun:
            self._writer.writerow(self.COLUMNS)

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Append the numbers of one step."""
        step = _checked(step, numbers)
        self._writer.writerows([(step, name, repr(float(value))) for name, value in numbers.items()])
        self._file.flush()

    def _check(self, path: Path) -> None:
        """Refuse a file that rows cannot be appended to."""
        with path.open("rb") as file:
            header = file.readline(1000).rstrip(b"\r\n").decode(errors="replace")
            file.seek(-min(1000, path.stat().st_size), os.SEEK_END)
            last = file.read().splitlines(keepends=True)[-1].decode(errors="replace")
        if header != ",".join(self.COLUMNS):
            raise ValueError(f"{path}: expected a file with the columns {', '.join(self.COLUMNS)}, got {header[:80]!r}")
        if not last.endswith("\n"):
            raise ValueError(
                f"{path}: the last row, {last[:80]!r}, has no line end, so its value may be cut: end the line if it is "
                "whole, or remove it, and go on"
            )

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardLogger(AbstractContextManager["TensorBoardLogger"]):
    """Scalars of TensorBoard.

    Args:
        folder: the folder of the event files, or a `SummaryWriter` of one's own (which then stays open).

    Raises:
        ModuleNotFoundError: the package tensorboard is missing.
    """

    def __init__(self, folder: Any) -> None:
        import tensorboard  # noqa: F401 (the message names the extra)
        from torch.utils.tensorboard import SummaryWriter

        self._own = isinstance(folder, str | Path)
        self._writer = SummaryWriter(str(folder)) if self._own else folder

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write the numbers of one step."""
        step = _checked(step, numbers)
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is pending; close the writer if it was made here."""
        self._writer.flush()
        if self._own:
            self._writer.close()


class MlflowLogger(AbstractContextManager["MlflowLogger"]):
    """Metrics of an MLflow run, one batch a step.

    Args:
        run_id: the run; by default the active one, or a new one that `close` ends.

    Raises:
        ModuleNotFoundError: the package mlflow is missing.
    """

    def __init__(self, run_id: str | None = None) -> None:
        import mlflow

        self._own = run_id is None and mlflow.active_run() is None
        self.run_id: str = run_id or (mlflow.active_run() or mlflow.start_run()).info.run_id
        self._client = mlflow.MlflowClient()

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the numbers of one step."""
        step = _checked(step, numbers)

        import time

        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        metrics = [Metric(_allowed(name), float(value), now, step) for name, value in numbers.items()]
        for start in range(0, len(metrics), 1000):  # as many as MLflow takes at once
            self._client.log_batch(self.run_id, metrics[start : start + 1000])

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the run if it was started here."""
        if self._own:
            import mlflow

            mlflow.end_run()


class WandbLogger(AbstractContextManager["WandbLogger"]):
    """Numbers of a Weights & Biases run; offline unless you give a run that is not.

    Args:
        run: the run; by default a new offline one, which `close` finishes.
        **options: for `wandb.init`, if a run is started here.

    Raises:
        ModuleNotFoundError: the package wandb is missing.
    """

    def __init__(self, run: Any = None, **options: Any) -> None:
        import wandb

        self._own = run is None
        self._run = wandb.init(**{"mode": "offline", **options}) if run is None else run

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log the numbers of one step, with the step as a number of its own: others may log in the same run."""
        step = _checked(step, numbers)
        if numbers:
            self._run.log({**numbers, "probe_step": step})

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the run if it was started here."""
        if self._own:
            self._run.finish()


def _checked(step: Any, numbers: Any) -> Any:
    """The step, taken out of a tensor or an array.

    Raises:
        TypeError: a step that is no number, or numbers in no dict.
    """
    try:
        if isinstance(numbers, Mapping):
            return step if isinstance(step, Real) else operator.index(step)
    except TypeError:
        pass
    raise TypeError(
        f"expected log(step, numbers), a number and a dict of numbers, got {shown(step)} and {shown(numbers)}"
    )


def _allowed(name: str) -> str:
    """A metric's name in the characters that MLflow accepts."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)
