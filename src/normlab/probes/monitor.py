"""Probes on a schedule inside one's own training loop."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from numbers import Real
from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from normlab.probes.accepted import matching, unwrapped
from normlab.probes.budget import Budget
from normlab.probes.objective import Batch, LossFn
from normlab.probes.preservation import preserved
from normlab.probes.vectors import l2_distance, l2_norm

Every: TypeAlias = int | Callable[[int], bool]


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

    Cost: the passes that each probe states in its docstring, `times(steps)` times over a training of `steps` steps; or
    what `budget` allows. `updates` costs a copy of the weights a step.

    Args:
        model: the model that is trained.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        every: a number of steps (probes run at steps 0, every, 2·every, …), or a predicate of the step; or a dict of
            them by the probe's name, so that dear probes run less often.
        probes: name → `probe(model, loss_fn, batch)`, which returns a probe result, a number, or dicts of them.
        budget: the largest share of the training's time that probes may take, such as 0.05. A probe that is due waits
            until what it took last time fits; its first run is how that is known. All have an equal part, saved for a
            probe until it suffices for a run; what is more is for the others. Which steps are probed then depends on
            the clock (the training itself does not).
        updates: log the size of the training's last step too: `update/l2_norm` = ‖Δw‖₂ between the last two calls and
            `update/relative` = ‖Δw‖₂/‖w‖₂, at due steps, for all trainable parameters; with a pattern of names
            ("features.*") or several also for each parameter that matches, `update/features.0.weight/relative`.

    Example:
        >>> import torch
        >>> from normlab.probes import Monitor, directional_curvature
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> loss = lambda model, x: model(x).square().sum()
        >>> monitor = Monitor(model, loss, every=2, probes={"curvature": directional_curvature})
        >>> sorted(monitor(0, torch.eye(2))), monitor(1, torch.eye(2))
        (['curvature/grad_norm', 'curvature/rayleigh', 'curvature/stretch'], {})

    Raises:
        TypeError: a probe that is not callable, or a result that cannot be flattened.
        ValueError: `every` below 1 or for an unknown probe, no probes, a budget that is not positive.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        *,
        every: Every | Mapping[str, Every] = 1,
        probes: Mapping[str, Callable[[nn.Module, LossFn, Batch], Any]],
        budget: float | None = None,
        updates: bool | str | Sequence[str] = False,
    ) -> None:
        self.probes = _checked_probes(probes)
        self.every = _checked_schedules(every, self.probes)
        if budget is not None and not (isinstance(budget, int | float) and 0 < budget < math.inf):
            raise ValueError(f"budget must be a positive share of the training's time, such as 0.05, got {budget!r}")
        self.model = model
        self.loss_fn = loss_fn
        self._budget = None if budget is None else Budget(budget)
        self._updates = None if updates is False else Updates(unwrapped(model), () if updates is True else updates)

    def due(self, step: int) -> bool:
        """Whether a probe is scheduled at this step."""
        return any(_is_due(every, step) for every in self.every.values())

    def times(self, steps: int) -> int:
        """At how many steps of a training of `steps` steps a probe is scheduled."""
        return sum(self.due(step) for step in range(steps))

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        """Every probe that is due, on this batch; {} at other steps.

        Raises:
            TypeError: a step that is no number.
        """
        step = _checked_step(step)
        due = [name for name, every in self.every.items() if _is_due(every, step)]
        numbers: dict[str, float] = {}
        if self._updates is not None:
            update = self._updates.since_last_call()
            numbers |= {f"update/{name}": value for name, value in update.items()} if due else {}
        for name in due if self._budget is None else self._budget.affordable(due):
            kept = preserved(unwrapped(self.model), batch, [self.loss_fn, self.probes[name]])
            with nullcontext() if self._budget is None else self._budget.spending(name), kept:
                result = self.probes[name](self.model, self.loss_fn, batch)
            _flatten(name, result, numbers)
        return numbers


class Updates:
    """How far the weights have moved since the last call.

    Raises:
        ValueError: a pattern that no trainable parameter matches.
    """

    def __init__(self, model: nn.Module, patterns: str | Sequence[str]) -> None:
        self._model = model
        self._names = [name for name, p in model.named_parameters() if p.requires_grad]
        wanted = [patterns] if isinstance(patterns, str) else list(patterns)
        single = matching(wanted, self._names)
        if single is None:
            raise ValueError(f"no trainable parameter matches {patterns!r}: names are {', '.join(self._names)}")
        self._single = single
        self._last: dict[str, Tensor] | None = None

    def since_last_call(self) -> dict[str, float]:
        """Sizes of the step; {} at the first call."""
        named = dict(self._model.named_parameters())
        now = {name: named[name].detach().clone() for name in self._names if name in named}
        last, self._last = self._last, now
        if last is None:
            return {}
        found = _sizes([now[name] for name in now], [last[name] for name in now])
        for name in self._single:
            found |= {f"{name}/{key}": value for key, value in _sizes([now[name]], [last[name]]).items()}
        return found


def _sizes(now: list[Tensor], last: list[Tensor]) -> dict[str, float]:
    moved, size = l2_distance(now, last), l2_norm(last)
    return {"l2_norm": moved, "relative": moved / size if size else math.nan}


def _checked_step(step: Any) -> Any:
    """A number; one in a tensor or an array is taken out, for schedules to count with."""
    try:
        return step if isinstance(step, Real) else operator.index(step)
    except TypeError:
        raise TypeError(f"step must be a number, as in monitor(step, batch), got {type(step).__name__}") from None


def _is_due(every: Every, step: int) -> bool:
    return step % every == 0 if isinstance(every, int) else bool(every(step))


def _checked_probes(probes: Any) -> dict[str, Callable[[nn.Module, LossFn, Batch], Any]]:
    if not isinstance(probes, Mapping):
        raise TypeError(f"probes must be a dict of name to callable, got {type(probes).__name__}")
    if not probes:
        raise ValueError("probes is empty: give at least one, such as {'landscape': partial(landscape, …)}")
    for name, probe in probes.items():
        if not callable(probe):
            raise TypeError(f"probe {name!r} must be callable as probe(model, loss_fn, batch), got {probe!r}")
    return dict(probes)


def _checked_schedules(every: Any, probes: Mapping[str, Any]) -> dict[str, Every]:
    """A schedule for each probe."""
    schedules = every if isinstance(every, Mapping) else dict.fromkeys(probes, every)
    if schedules.keys() != probes.keys():
        raise ValueError(f"every must have the names of the probes, {', '.join(probes)}; got {', '.join(schedules)}")
    for one in schedules.values():
        if isinstance(one, bool) or not (isinstance(one, int) or callable(one)):
            raise TypeError(f"every must be a number of steps or a predicate of the step, got {one!r}")
        if isinstance(one, int) and one < 1:
            raise ValueError(f"every must be at least 1, got {one}")
    return dict(schedules)


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
