"""The argument `batches` of every probe: the same measurement on several batches, each with its own statistics."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

import torch
from torch import Tensor

from normlab.probes.memory import RandomState
from normlab.probes.vectors import shown

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


@dataclass(frozen=True)
class OverBatches(Generic[R]):
    """What a probe finds on each of B batches.

    A batch is not accumulated with the others: batch statistics belong to one batch. So the mean is that of B
    measurements, each at the same weights with the same random draws.

    Attributes:
        per_batch: the B results, in order.
        mean: each number of the summary, averaged over the batches (NaN or inf where one of them is).
        spread: its standard deviation over the batches (of the sample, B − 1); NaN for one batch.
        notes: the results' remarks, each once, with the number of the batch.
    """

    per_batch: tuple[R, ...]
    mean: dict[str, float]
    spread: dict[str, float]
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs: `loss` is the mean, `loss/spread` its spread."""
        return {**self.mean, **{f"{name}/spread": value for name, value in self.spread.items()}}

    def plot(self, ax: Any = None) -> Any:
        """Means and spreads, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_over_batches

        return plot_over_batches(self, ax)


class Together(tuple[Any, ...]):
    """Several batches in the place of one: what is measured is the mean of their losses, each on its own batch."""


class Probe(Protocol[P, R]):
    """A probe of one batch that takes `batches` in the place of `batch`."""

    __name__: str

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def __call__(self, *args: Any, batches: Iterable[Any], **kwargs: Any) -> Any: ...


def takes_batches(probe: Callable[P, R]) -> Probe[P, R]:
    """Give a probe the keyword `batches`, an iterable of batches in the place of `batch`.

    The result is an `OverBatches`, a dict of them for probes that return a dict, a list of mean tensors for those that
    return a list. A probe that is called with `hessian="mean"` is given all batches, `Together`. Every batch is probed
    with the same draws: a `generator` of the caller's begins anew at each, and is in the end where one batch leaves it.
    Torch's global random state is as before, also after a `DataLoader` has drawn from it.
    """

    @wraps(probe)
    def call(*args: Any, batches: Iterable[Any] | None = None, **kwargs: Any) -> Any:
        _check_generator(generator := kwargs.get("generator"))
        if batches is None:
            return probe(*args, **kwargs)
        if "batch" in kwargs or len(args) > place:
            raise ValueError(
                "give either batch (one) or batches (several), got both: with batches=, what comes after batch in "
                f"{probe.__name__}(…) is given by name"
            )
        if not isinstance(batches, Iterable) or isinstance(batches, str | Mapping):
            raise TypeError(f"batches must be an iterable of batches, got {type(batches).__name__}")
        state = RandomState()
        drawn = generator and generator.get_state()
        results = []
        try:
            if kwargs.get("hessian") == "mean":
                together = Together(batches)
                state.restore()
                return probe(*args, batch=_some(together), **kwargs)
            for batch in batches:
                loader = RandomState()  # the loader's own draws go on; every batch is probed with the same ones
                state.restore()
                if generator is not None:
                    generator.set_state(drawn)
                results.append(probe(*args, batch=batch, **kwargs))
                loader.restore()
        finally:
            state.restore()
        return combine(_some(results))

    signature = inspect.signature(probe)
    place = list(signature.parameters).index("batch")
    batches = inspect.Parameter("batches", inspect.Parameter.KEYWORD_ONLY, default=None)
    call.__signature__ = signature.replace(parameters=[*signature.parameters.values(), batches])  # type: ignore[attr-defined]
    return cast(Probe[P, R], call)


def _check_generator(generator: Any) -> None:
    """The keyword `generator` of the probes that draw, looked at before anything is evaluated."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None, got {shown(generator)}")


def _some(found: Sequence[Any]) -> Any:
    if not found:
        raise ValueError("batches is empty: give at least one batch")
    return found


def combine(results: Sequence[Any]) -> Any:
    """Results of the same probe on several batches as one."""
    first = results[0]
    if isinstance(first, Mapping):
        return {key: combine([result[key] for result in results]) for key in first}
    if isinstance(first, list):
        return [_mean_tensor([result[index] for result in results]) for index in range(len(first))]
    summaries = [result.scalars() for result in results]
    columns = {name: [summary[name] for summary in summaries] for name in summaries[0]}
    noted: dict[str, list[int]] = {}
    for index, result in enumerate(results):
        for note in result.notes:
            noted.setdefault(note, []).append(index)
    return OverBatches(
        per_batch=tuple(results),
        mean={name: sum(values) / len(values) for name, values in columns.items()},
        spread={name: _spread(values) for name, values in columns.items()},
        notes=tuple(f"batch {', '.join(map(str, where))}: {note}" for note, where in noted.items()),
    )


def _mean_tensor(tensors: Sequence[Tensor]) -> Tensor:
    total = tensors[0].clone()
    for tensor in tensors[1:]:
        total += tensor
    return total / len(tensors)


def _spread(values: Sequence[float]) -> float:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return math.nan
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
