"""A share of a training's time, divided among probes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


class Budget:
    """A share of the time that passes outside of the probes.

    Of what comes in, every probe that is known so far has an equal part. It is saved for the probe since its last run,
    up to what that run took; the rest is for whoever has use for it. So a dear probe runs seldom and a cheap one often,
    and none waits for ever.

    Args:
        share: spent time may be at most this share of the other.
        clock: seconds since some moment.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._share, self._clock = share, clock
        self._begun: float | None = None
        self._spent = 0.0
        self._last: dict[str, float] = {}  # what the last run took
        self._since: dict[str, float] = {}  # the allowance at the last run

    def affordable(self, names: Sequence[str]) -> Iterator[str]:
        """Those whose last cost fits, the cheapest first; one that never ran, if nothing is owed.

        It fits into the probe's own part, or into what is left without that which is saved for the others. Those that
        had their turn in this call have nothing saved.
        """
        waiting = {name: self._last.get(name, 0.0) for name in (*self._last, *names)}
        parts = len(waiting)
        for name in sorted(names, key=waiting.__getitem__):
            allowed = self._allowed()
            saved = {one: (allowed - self._since.get(one, 0.0)) / parts for one in waiting}
            cost = waiting[name]
            kept = 0.0
            if saved[name] < cost:
                kept = sum(max(0.0, min(saved[one], waiting[one])) for one in waiting if one != name)
            if self._spent + kept + cost <= allowed:
                del waiting[name]
                yield name

    @contextmanager
    def spending(self, name: str) -> Iterator[None]:
        """A block whose time is spent on this probe."""
        self._since[name] = self._allowed()  # it does not grow while a probe runs
        start = self._clock()
        try:
            yield
        finally:
            self._last[name] = self._clock() - start
            self._spent += self._last[name]

    def _allowed(self) -> float:
        """What may be spent up to now, since the first time that this was asked."""
        now = self._clock()
        if self._begun is None:
            self._begun = now
        return self._share * (now - self._begun - self._spent)
