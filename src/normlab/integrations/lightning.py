"""Probes in Lightning: `Trainer(callbacks=[ProbeCallback(…)])`."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from torch import nn

from normlab.integrations.watch import Probes, Watch
from normlab.probes.objective import LossFn


class ProbeCallback(pl.Callback):
    """Run probes before some of a Lightning training's steps, on the step's own batch, on rank 0.

        probes = {"landscape": partial(landscape, step_sizes=[.05, .1, .2])}
        pl.Trainer(callbacks=[ProbeCallback(loss_fn, probes, every=100)])

    The numbers go to all of the trainer's loggers, to the functions in `log`, and to `rows`. The step is
    `trainer.global_step`, the number of updates before; with gradient accumulation the first batch of an update is
    probed. On several processes rank 0 is probed, with the batch statistics of its own batch.

    Args:
        loss_fn: `loss_fn(model, batch)` → scalar tensor. Not `training_step`, which also logs.
        probes: name → probe, as for `Monitor`; or a function of (trainer, module) that returns them, for probes that
            need the optimizer: `lambda trainer, module: {"shift": partial(covariate_shift,
            optimizer=trainer.optimizers[0])}`.
        model: from the LightningModule to what is probed, such as `lambda module: module.net`; by default itself.
        **options: `every` (100 by default), `budget`, `updates` as for `Monitor`; `log`, a list of functions
            (step, numbers).

    Attributes:
        rows: what was found: a dict with "step" and the numbers, for each step with probes.

    Raises:
        TypeError, ValueError: as `Monitor`.
    """

    def __init__(
        self,
        loss_fn: LossFn,
        probes: Probes | Callable[[pl.Trainer, pl.LightningModule], Probes],
        *,
        model: Callable[[Any], nn.Module] = lambda module: module,
        **options: Any,
    ) -> None:
        self._watch = Watch(loss_fn, probes, **options)
        self._model = model
        self._last_step: int | None = None
        self.rows = self._watch.rows

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the monitor: the optimizers exist now."""
        self._last_step = None
        self._watch.begin(self._model(pl_module), trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Probe, if it is the first batch of an update that is due."""
        step = trainer.global_step
        if step == self._last_step or not trainer.is_global_zero:
            return
        self._last_step = step
        numbers = self._watch(step, batch)
        for logger in trainer.loggers if numbers else ():
            logger.log_metrics(numbers, step=step)
