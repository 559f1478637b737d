"""What every callback shares: a `Monitor` that is made when the training begins, and where its numbers go."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import nn

from normlab.probes.monitor import Every, Monitor, check_kinds
from normlab.probes.objective import Batch, LossFn

Log: TypeAlias = Callable[[int, Mapping[str, float]], object]
Probes: TypeAlias = Mapping[str, Callable[[nn.Module, LossFn, Batch], Any]]


class Watch:
    """Probes on a schedule, told to everybody who wants to know.

    Args:
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        probes: name → probe, as for `Monitor`; or a function that returns them when the training begins, given what the
            callback knows then (its docstring says what), for probes that need the optimizer.
        every: as for `Monitor`.
        budget: as for `Monitor`.
        updates: as for `Monitor`.
        log: functions of a step and a dict of numbers, such as those in `normlab.integrations.loggers`.

    Attributes:
        rows: what was found: a dict with "step" and the numbers, for each step with probes.

    Raises:
        TypeError, ValueError: as `Monitor`; what depends on the model or on probes that a function returns, when the
            training begins.
    """

    def __init__(
        self,
        loss_fn: LossFn,
        probes: Probes | Callable[..., Probes],
        *,
        every: Every | Mapping[str, Every] = 100,
        budget: float | None = None,
        updates: bool | str | Sequence[str] = False,
        log: Sequence[Log] = (),
    ) -> None:
        check_kinds(loss_fn, updates)
        self.rows: list[dict[str, float]] = []
        self._loss_fn, self._probes, self._log = loss_fn, probes, list(log)
        self._options: dict[str, Any] = {"every": every, "budget": budget, "updates": updates}
        self._monitor: Monitor | None = None
        if not callable(probes):
            Monitor(nn.Identity(), loss_fn, probes=probes, every=every, budget=budget)  # refuses what is wrong, now

    def begin(self, model: nn.Module, *context: Any) -> None:
        """The training of this model begins."""
        probes = self._probes(*context) if callable(self._probes) else self._probes
        self._monitor = Monitor(model, self._loss_fn, probes=probes, **self._options)

    def due(self, step: int) -> bool:
        """Whether a probe is scheduled at this step."""
        return self._monitor is not None and self._monitor.due(step)

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        """Every probe that is due, on this batch; {} at other steps."""
        numbers = {} if self._monitor is None else self._monitor(step, batch)
        if numbers:
            self.rows.append({"step": step, **numbers})
            for log in self._log:
                log(step, numbers)
        return numbers
