"""What becomes of one part of a claim: its number beside its regions.

A part holds if its whole interval lies in its region `holds`, fails if the whole interval lies in `fails`, else it is
undecided; so it is with fewer seeds than the rule names, with an interval that covers too little, and with runs that
lack something the claim is about.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from normlab.analysis.estimates import NotRunError, PerSeed, TooFewError
from normlab.analysis.rules import NOT_RUN, UNDECIDED, Part, Region
from normlab.analysis.statistics import Interval
from normlab.specs.analyze import AnalyzeSpec

HOLDS, FAILS = "holds", "fails"


class Estimate(Protocol):
    """What a part's function returns: a `PerSeed`, or anything else with an interval over seeds."""

    @property
    def seeds(self) -> int:
        """How many seeds it rests on."""

    def interval(self, spec: AnalyzeSpec) -> Interval:
        """The estimate and its interval."""


Parts = Mapping[str, Callable[[], Estimate]]
ClaimFunction = Callable[..., Parts]


@dataclass(frozen=True)
class PartResult:
    """What became of one part, with what it rests on.

    Attributes:
        part: the part.
        verdict: "holds", "fails", "undecided" or "not run".
        reason: why, in words.
        interval, seeds, per_seed: the numbers, where there are any.
        enough: whether seeds, coverage and runs are enough for the interval to decide something.
        signed: how many seeds have the claimed direction.
        paper: the number of the paper's own curves, where they have one.
    """

    part: Part
    verdict: str
    reason: str
    interval: Interval = field(default_factory=lambda: Interval(math.nan, math.nan, math.nan))
    seeds: int = 0
    per_seed: Mapping[str, float] = field(default_factory=dict)
    enough: bool = False
    signed: int = 0
    paper: Interval | None = None

    @property
    def directed(self) -> bool | None:
        """Whether the whole interval has the claimed direction; None where the part claims none."""
        return None if self.part.direction is None else self.enough and self.part.direction.holds(self.interval)

    def as_dict(self) -> dict[str, Any]:
        """Its numbers and verdict in JSON's terms."""
        return {
            "quantity": self.part.quantity,
            **self.numbers(),
            "per_seed": {seed: finite(value) for seed, value in self.per_seed.items()},
            "claimed_direction": self.signed,
            "paper": None if self.paper is None else finite(self.paper.estimate),
            "verdict": self.verdict,
            "reason": self.reason,
        }

    def numbers(self) -> dict[str, Any]:
        """Estimate, interval and seeds in JSON's terms: what is not finite is null, and `note` says what it is."""
        interval = self.interval
        notes = []
        for name, value in (("estimate", interval.estimate), ("low end", interval.low), ("high end", interval.high)):
            if math.isinf(value):
                notes.append(f"{name} is {'infinite' if value > 0 else 'minus infinity'}")
            elif math.isnan(value) and self.seeds:
                notes.append(f"{name} is undetermined")
        return {
            "estimate": finite(interval.estimate),
            "interval": [finite(interval.low), finite(interval.high)],
            "n_seeds": self.seeds,
            "note": "; ".join(notes),
            "method": interval.method,
            "coverage": finite(interval.coverage),
        }


def judge_part(
    part: Part, measure: Callable[[], Estimate], min_seeds: int, spec: AnalyzeSpec, paper: Interval | None = None
) -> PartResult:
    """Measure a part and put its interval beside its regions.

    Args:
        part: with its regions.
        measure: its function.
        min_seeds: with fewer it is undecided.
        spec: how intervals are made.
        paper: the number of the paper's own curves.
    """
    try:
        estimate = measure()
        interval = estimate.interval(spec)
    except NotRunError as error:
        return PartResult(part, NOT_RUN, str(error), paper=paper)
    except TooFewError as error:
        return PartResult(part, UNDECIDED, str(error), paper=paper)
    per_seed, signed, lacks = {}, 0, ""
    if isinstance(estimate, PerSeed):
        per_seed = {str(seed): float(value) for seed, value in estimate.values["value"].items()}
        signed, lacks = _signed(estimate, part.direction or part.holds), estimate.lacks
    if estimate.seeds < min_seeds:
        lacks = f"{estimate.seeds} of {min_seeds} seeds"
    elif not lacks and not interval.decides:
        lacks = f"{interval.method or 'no interval'}: covers too little to decide"
    verdict, reason = (UNDECIDED, lacks) if lacks else _place(part, interval)
    return PartResult(part, verdict, reason, interval, estimate.seeds, per_seed, not lacks, signed, paper)


def _signed(estimate: PerSeed, region: Region | None) -> int:
    bounds = zip(estimate.values["low"], estimate.values["high"], strict=True)
    return 0 if region is None else sum(region.holds(Interval(low, low, high)) for low, high in bounds)


def _place(part: Part, interval: Interval) -> tuple[str, str]:
    """Where the interval lies, and the sentence that says so."""
    sides = [(side, getattr(part, side)) for side in (HOLDS, FAILS) if getattr(part, side) is not None]
    for side, region in sides:
        if region.holds(interval):
            return side, f"{shown(interval)} is {region}"
    thresholds = "; ".join(f"{side} if {region}" for side, region in sides)
    return UNDECIDED, f"{shown(interval)} decides nothing ({thresholds or 'no threshold'})"


def shown(interval: Interval) -> str:
    """`[1.2, 3.4]`, or the number itself where the interval has no width."""
    low, high = (f"{end:.3g}".replace("-inf", "−∞").replace("inf", "∞") for end in (interval.low, interval.high))
    return low if interval.low == interval.high else f"[{low}, {high}]"


def finite(value: float) -> float | None:
    """The number, or None for inf and NaN, which JSON does not have; rounded to 10 digits."""
    return float(f"{value:.10g}") if math.isfinite(value) else None
