"""Probes in the Trainer of transformers: `Trainer(callbacks=[ProbeCallback(…)])`."""

from collections.abc import Callable
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from normlab.integrations.watch import Probes, Watch
from normlab.probes.objective import LossFn


def own_loss(model: nn.Module, batch: dict[str, Any]) -> Any:
    """The loss that a model of transformers computes from a batch with labels."""
    return model(**batch).loss


class ProbeCallback(TrainerCallback):  # type: ignore[misc]
    """Run probes before some of a Trainer's updates, on the update's own batch, on rank 0.

        probes = {"sharpness": top_eigenvalues}
        Trainer(model, arguments, train_dataset=…, callbacks=[ProbeCallback(probes, every=100)])

    The batch is what the model was called with last before the update; with gradient accumulation, the last of its
    parts. The numbers go to `trainer.state.log_history`, to the functions in `log`, and to `rows`. The step is
    `state.global_step`, the number of updates before.

    Args:
        probes: name → probe, as for `Monitor`; or a function of (model, optimizer) that returns them:
            `lambda model, optimizer: {"shift": partial(covariate_shift, optimizer=optimizer)}`.
        loss_fn: `loss_fn(model, batch)` → scalar tensor; by default the model's own loss.
        **options: `every` (100 by default), `budget`, `updates` as for `Monitor`; `log`, a list of functions
            (step, numbers).

    Attributes:
        rows: what was found: a dict with "step" and the numbers, for each step with probes.

    Raises:
        TypeError, ValueError: as `Monitor`.
    """

    def __init__(
        self, probes: Probes | Callable[[nn.Module, Any], Probes], *, loss_fn: LossFn = own_loss, **options: Any
    ) -> None:
        self._watch = Watch(loss_fn, probes, **options)
        self._inputs: dict[str, Any] | None = None
        self._hook: Any = None
        self.rows = self._watch.rows

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        optimizer: Any = None,
        **others: Any,
    ) -> None:
        """Make the monitor, and listen to what the model is called with."""
        self._listen_no_more()  # a training that failed has not said so
        self._watch.begin(model, model, optimizer)
        self._hook = model.register_forward_pre_hook(self._listen, with_kwargs=True)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Probe if a probe is due: gradients are there, the weights have not moved yet."""
        batch, self._inputs = self._inputs, None
        if batch is None or not state.is_world_process_zero:
            return
        numbers = self._watch(state.global_step, batch)
        self._inputs = None  # a probe calls the model too
        if numbers:
            state.log_history.append({**numbers, "step": state.global_step})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Listen no more."""
        self._listen_no_more()

    def _listen_no_more(self) -> None:
        if self._hook is not None:
            self._hook.remove()
        self._hook = self._inputs = None

    def _listen(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if model.training:
            self._inputs = dict(kwargs)
