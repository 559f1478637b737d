"""Probes on a schedule inside one's own training loop."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from normlab.probes.accepted import unwrapped
from normlab.probes.objective import Batch, LossFn
from normlab.probes.preservation import preserved


@runtime_checkable
class Summarized(Protocol):
    """A result that names the numbers worth logging, as every probe result does."""

    def scalars(self) -> dict[str, float]: ...


class Monitor:
    """Run probes at some steps of a training loop and flatten what they find to numbers with names.

        monitor = Monitor(model, loss_fn, every=100, probes={"landscape": partial(landscape, step_sizes=[.05, .1])})
        for step, batch in enumerate(batches):
            log(step, monitor(step, batch))        # {"landscape/effective_beta": 3.1, …}, {} at the other steps
            ...                                    # the training step

    A probed training equals an unprobed one bit for bit: model, gradients and random streams are put back after every
    call, also for probes of one's own and after an exception. Names join the probe's, the keys of nested dicts (such as
    module names) and the quantity with "/": `shift/features.3/cosine`. Results give their `scalars()`; arrays such as
    histograms are not logged.

    Cost: the passes that each probe states in its docstring, `times(steps)` times over a training of `steps` steps.

    Args:
        model: the model that is trained.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        every: a number of steps (probes run at steps 0, every, 2·every, …), or a predicate of the step.
        probes: name → `probe(model, loss_fn, batch)`, which returns a probe result, a number, or dicts of them.

    Raises:
        TypeError: a probe that is not callable, or a result that cannot be flattened.
        ValueError: `every` below 1, no probes.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        *,
        every: int | Callable[[int], bool],
        probes: Mapping[str, Callable[[nn.Module, LossFn, Batch], Any]],
    ) -> None:
        if isinstance(every, bool) or not (isinstance(every, int) or callable(every)):
            raise TypeError(f"every must be a number of steps or a predicate of the step, got {every!r}")
        if isinstance(every, int) and every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        if not isinstance(probes, Mapping):
            raise TypeError(f"probes must be a dict of name to callable, got {type(probes).__name__}")
        if not probes:
            raise ValueError("probes is empty: give at least one, such as {'landscape': partial(landscape, …)}")
        for name, probe in probes.items():
            if not callable(probe):
                raise TypeError(f"probe {name!r} must be callable as probe(model, loss_fn, batch), got {probe!r}")
        self.model = model
        self.loss_fn = loss_fn
        self.every = every
        self.probes = dict(probes)

    def due(self, step: int) -> bool:
        """Whether the probes run at this step."""
        return step % self.every == 0 if isinstance(self.every, int) else bool(self.every(step))

    def times(self, steps: int) -> int:
        """How often the probes run in a training of `steps` steps."""
        return sum(self.due(step) for step in range(steps))

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        """Every probe on this batch if the step is due; {} otherwise."""
        if not self.due(step):
            return {}
        numbers: dict[str, float] = {}
        for name, probe in self.probes.items():
            with preserved(unwrapped(self.model), batch, [self.loss_fn, probe]):
                result = probe(self.model, self.loss_fn, batch)
            _flatten(name, result, numbers)
        return numbers


def _flatten(name: str, result: Any, into: dict[str, float]) -> None:
    if isinstance(result, Summarized):
        result = result.scalars()
    if isinstance(result, Mapping):
        for key, value in result.items():
            _flatten(f"{name}/{key}", value, into)
    elif isinstance(result, Tensor) and result.ndim == 0:
        into[name] = float(result.detach())
    elif isinstance(result, int | float) or (hasattr(result, "dtype") and getattr(result, "ndim", 1) == 0):
        into[name] = float(result)
    else:
        raise TypeError(
            f"probe result {name!r} must be a probe result, a number, or dicts of them, got {type(result).__name__}"
        )
