"""Probes on a schedule inside one's own training loop."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import nullcontext
from numbers import Integral, Real
from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from normlab.probes.accepted import matching, unwrapped
from normlab.probes.budget import Budget
from normlab.probes.objective import Batch, LossFn
from normlab.probes.preservation import preserved
from normlab.probes.vectors import l2_distance, l2_norm, shown

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
    what `budget` allows. `updates` costs a copy of the weights a step, the frozen ones too: they may be trained next.

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
            `update/relative` = ‖Δw‖₂/‖w‖₂, at due steps, for all parameters that were trainable at the first of the two
            and are there with the same shape at the second (frozen ones are not copied); with a pattern of names
            ("features.*") or several also for each that matches, `update/features.0.weight/relative`.

    Example:
        >>> import torch
        >>> from normlab.probes import Monitor, directional_curvature
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> loss = lambda model, x: model(x).square().sum()
        >>> monitor = Monitor(model, loss, every=2, probes={"curvature": directional_curvature})
        >>> sorted(monitor(0, torch.eye(2))), monitor(1, torch.eye(2))
        (['curvature/grad_norm', 'curvature/rayleigh', 'curvature/stretch'], {})

    Raises:
        TypeError: no module or loss function, a probe that is not callable, a schedule or `updates` of another kind, or
            a result that cannot be flattened.
        ValueError: `every` below 1 or for an unknown probe, no probes, a budget that is not positive, a pattern that no
            trainable parameter matches.
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
        inner = unwrapped(model)
        check_kinds(loss_fn, updates)
        self.probes = _checked_probes(probes)
        self.every = _checked_schedules(every, self.probes)
        if budget is not None and not (isinstance(budget, int | float) and 0 < budget < math.inf):
            raise ValueError(
                f"budget must be a positive share of the training's time, such as 0.05, got {shown(budget)}"
            )
        self.model = model
        self.loss_fn = loss_fn
        self._budget = None if budget is None else Budget(budget)
        self._updates = None if updates is False else Updates(inner, () if updates is True else updates)

    def due(self, step: int) -> bool:
        """Whether a probe is scheduled at this step.

        Raises:
            TypeError: a step that is no number.
        """
        step = _checked_step(step)
        return any(_is_due(every, step) for every in self.every.values())

    def times(self, steps: int) -> int:
        """At how many steps of a training of `steps` steps a probe is scheduled.

        Raises:
            TypeError: not a whole number.
        """
        try:
            steps = operator.index(steps)
        except TypeError:
            raise TypeError(f"steps must be a whole number of steps, got {shown(steps)}") from None
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
        self._patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        names = [name for name, p in model.named_parameters() if p.requires_grad]
        if matching(self._patterns, names) is None:
            raise ValueError(f"no trainable parameter matches {patterns!r}: names are {', '.join(names)}")
        self._last: dict[str, Tensor] | None = None  # of those that were trainable: frozen ones may be many, and stay

    def since_last_call(self) -> dict[str, float]:
        """Sizes of the step; {} at the first call.

        Of the parameters that were trainable at the last call and are there with the same shape: a training may freeze,
        unfreeze, add, drop and replace any between two calls.
        """
        there = dict(self._model.named_parameters())
        last, self._last = self._last, {name: p.detach().clone() for name, p in there.items() if p.requires_grad}
        if last is None:
            return {}
        pairs = {
            name: (there[name].detach(), value)
            for name, value in last.items()
            if name in there and there[name].shape == value.shape
        }
        found = _sizes(list(pairs.values()))
        for pattern in self._patterns:
            for name in matching([pattern], list(pairs)) or ():
                found |= {f"{name}/{key}": value for key, value in _sizes([pairs[name]]).items()}
        return found


def _sizes(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    now, last = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    moved, size = l2_distance(now, last), l2_norm(last)
    return {"l2_norm": moved, "relative": moved / size if size else math.nan}


def _checked_step(step: Any) -> Any:
    """A number; one in a tensor or an array is taken out, for schedules to count with."""
    try:
        return step if isinstance(step, Real) else operator.index(step)
    except TypeError:
        raise TypeError(f"step must be a number, as in monitor(step, batch), got {type(step).__name__}") from None


def check_kinds(loss_fn: Any, updates: Any) -> None:
    """Refuse what can be refused before there is a model.

    Raises:
        TypeError: a loss function that is not callable; `updates` that are no truth value, no pattern and no several.
    """
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be callable as loss_fn(model, batch), got {shown(loss_fn)}")
    several = isinstance(updates, Sequence | Set) and all(isinstance(pattern, str) for pattern in updates)
    if not isinstance(updates, bool) and not several:
        raise TypeError(f"updates must be True, False, a pattern of names or a list of them, got {shown(updates)}")


def _is_due(every: Every, step: int) -> bool:
    return step % every == 0 if isinstance(every, int) else bool(every(step))


def _checked_probes(probes: Any) -> dict[str, Callable[[nn.Module, LossFn, Batch], Any]]:
    if not isinstance(probes, Mapping):
        raise TypeError(f"probes must be a dict of name to callable, got {type(probes).__name__}")
    if not probes:
        raise ValueError("probes is empty: give at least one, such as {'landscape': partial(landscape, …)}")
    for name, probe in probes.items():
        if not callable(probe):
            raise TypeError(f"probe {name!r} must be callable as probe(model, loss_fn, batch), got {shown(probe)}")
    return dict(probes)


def _checked_schedules(every: Any, probes: Mapping[str, Any]) -> dict[str, Every]:
    """A schedule for each probe."""
    schedules = every if isinstance(every, Mapping) else dict.fromkeys(probes, every)
    if schedules.keys() != probes.keys():
        wanted, got = (", ".join(map(str, names)) for names in (probes, schedules))
        raise ValueError(f"every must have the names of the probes, {wanted}; got {got}")
    for one in schedules.values():
        if isinstance(one, bool) or not (isinstance(one, Integral) or callable(one)):
            raise TypeError(f"every must be a number of steps or a predicate of the step, got {shown(one)}")
        if isinstance(one, Integral) and one < 1:
            raise ValueError(f"every must be at least 1, got {one}")
    return {name: int(one) if isinstance(one, Integral) else one for name, one in schedules.items()}


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
