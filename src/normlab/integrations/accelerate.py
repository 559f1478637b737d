"""Probes in a training loop with Accelerate."""

from typing import Any

from accelerate import Accelerator
from torch import nn

from normlab.integrations.watch import Probes, Watch
from normlab.probes.objective import Batch, LossFn


class AcceleratedMonitor:
    """`Monitor` for a model that Accelerate has prepared: unwrapped, in float32, on the main process.

        monitor = AcceleratedMonitor(accelerator, model, loss_fn, probes, every=100)
        for step, batch in enumerate(loader):
            monitor(step, batch)                    # and then the training step

    The numbers go to the accelerator's trackers, to the functions in `log`, and to `rows`. Every process may call it;
    the others do nothing, and wait at their next communication. Mixed precision is off in a probe.

    Args:
        accelerator: the accelerator.
        model: the prepared model, or the one before.
        loss_fn: `loss_fn(model, batch)` → scalar tensor; it is given the unwrapped model.
        probes: name → probe, as for `Monitor`. Prepared optimizers are accepted: `partial(covariate_shift,
            optimizer=optimizer)`.
        **options: `every` (100 by default), `budget`, `updates` as for `Monitor`; `log`, a list of functions
            (step, numbers).

    Attributes:
        rows: what was found: a dict with "step" and the numbers, for each step with probes.

    Raises:
        TypeError, ValueError: as `Monitor`.
    """

    def __init__(
        self, accelerator: Accelerator, model: nn.Module, loss_fn: LossFn, probes: Probes, **options: Any
    ) -> None:
        self._accelerator = accelerator
        self._watch = Watch(loss_fn, probes, **options)
        self._watch.begin(accelerator.unwrap_model(model))
        self.rows = self._watch.rows

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        """Every probe that is due, on this batch; {} at other steps and on other processes."""
        if not self._accelerator.is_main_process:
            return {}
        numbers = self._watch(step, batch)
        if numbers:
            self._accelerator.log(numbers, step=step)
        return numbers
