"""One number a seed, with what is known about it when it could not be measured exactly.

A run that never reached 90 % within its T batches needs *more than* T: its number is inf, its bounds are [T + 1,
inf]. A quantity that a diverged run does not have is unknown: NaN with bounds [−inf, inf]. Ratios and differences
carry the bounds along, and an interval over seeds reaches from the low end of the lower bounds to the high end of
the upper ones. So a censored or missing value can widen an interval, and never moves a verdict that it does not
determine.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from normlab.analysis.statistics import Interval, median_interval, middle, share_interval
from normlab.specs.analyze import AnalyzeSpec

SHARE, COSINE = (0.0, 1.0), (-1.0, 1.0)  # limits


class NotRunError(LookupError):
    """A quantity cannot be computed because the runs it needs were not made; the message says which."""


class TooFewError(LookupError):
    """There is something to compute, but too little of it for the rule; the message says how much."""


@dataclass(frozen=True)
class PerSeed:
    """A number for every seed.

    Attributes:
        values: index seed; columns value, low, high with low ≤ value ≤ high (value NaN: unknown).
        kind: "number" and "ratio" (the median of the seeds; a ratio is compared on logarithms), "share" (values are 0
            or 1), or "worst" (a statement about all cases: the largest value decides, and there is nothing to infer).
        lacks: what the numbers lack to decide a claim, such as "1,500 of 6,000 steps"; "" if nothing.
        limits: between which every such number lies, such as 0 and 1; no interval reaches beyond them.
    """

    values: pd.DataFrame
    kind: Literal["number", "ratio", "share", "worst"] = "number"
    lacks: str = ""
    limits: tuple[float, float] = (-math.inf, math.inf)

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.values)

    def interval(self, spec: AnalyzeSpec) -> Interval:
        """The estimate over seeds and its interval, as `kind` says."""
        if self.kind == "share":
            return share_interval(int(self.values["value"].sum()), self.seeds, confidence=spec.confidence)
        if self.kind == "worst":
            worst = float(self.values["value"].max(skipna=False))
            return Interval(worst, worst, worst, "all cases, no statistic", 1.0)
        bounds = (self.values["low"].to_numpy(), self.values["high"].to_numpy())
        found = median_interval(*bounds, scale="log" if self.kind == "ratio" else "linear", confidence=spec.confidence)
        low, high = (float(np.clip(end, *self.limits)) for end in (found.low, found.high))
        known = self.values["value"].dropna()  # inf among them: a threshold that was never reached
        return replace(found, low=low, high=high, estimate=middle(known.to_numpy()) if len(known) else math.nan)

    def lacking(self, what: str) -> "PerSeed":
        """The same numbers, lacking one more thing to decide a claim (nothing more for "")."""
        return replace(self, lacks="; ".join(part for part in (self.lacks, what) if part))


def exact(values: Mapping[int, float] | pd.Series, limits: tuple[float, float] = (-math.inf, math.inf)) -> PerSeed:
    """Measured numbers: the bounds are the number itself. NaN is unknown, with the limits for its bounds."""
    value = pd.Series(values, dtype=float).sort_index()
    low, high = (value.fillna(limit) for limit in limits)
    return PerSeed(pd.DataFrame({"value": value, "low": low, "high": high}), limits=limits)


def exact_ratio(values: Mapping[int, float] | pd.Series) -> PerSeed:
    """Measured ratios of numbers ≥ 0: as `exact`, unknown ones in [0, inf], intervals on logarithms."""
    table = exact(values).values
    return PerSeed(table.assign(low=table["low"].clip(lower=0.0)), "ratio")


def censored(values: Mapping[int, float] | pd.Series, limits: Mapping[int, float] | pd.Series) -> PerSeed:
    """Numbers that are inf when nothing happened up to the limit; then the lower bound is the limit + 1."""
    value = pd.Series(values, dtype=float).sort_index()
    limit = pd.Series(limits, dtype=float).reindex(value.index)
    return PerSeed(pd.DataFrame({"value": value, "low": value.where(np.isfinite(value), limit + 1), "high": value}))


def share(values: Mapping[int, bool] | pd.Series) -> PerSeed:
    """Whether something holds, a seed at a time."""
    value = pd.Series(values).astype(float).sort_index()
    return PerSeed(pd.DataFrame({"value": value, "low": value, "high": value}), kind="share")


def worst(values: Mapping[int, float] | pd.Series) -> PerSeed:
    """The largest deviation in each seed's cases, for a statement that one counterexample refutes."""
    value = pd.Series(values, dtype=float).sort_index()
    return PerSeed(pd.DataFrame({"value": value, "low": value, "high": value}), kind="worst")


def _paired(a: PerSeed, b: PerSeed) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables on the seeds that both have (equal initial weights and batches)."""
    common = a.values.index.intersection(b.values.index)
    if len(common) == 0:
        raise NotRunError("the two cells have no seed in common")
    return a.values.loc[common], b.values.loc[common]


def _lacks(a: PerSeed, b: PerSeed) -> str:
    return "; ".join(dict.fromkeys(lack for lack in (a.lacks, b.lacks) if lack))


def ratio(a: PerSeed, b: PerSeed) -> PerSeed:
    """a/b seed by seed, of numbers ≥ 0. inf/inf and 0/0 are unknown: [low of a / high of b, high of a / low of b]."""
    top, bottom = _paired(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = pd.DataFrame(
            {
                "value": top["value"] / bottom["value"],
                "low": (top["low"].clip(lower=0) / bottom["high"]).fillna(0.0),
                "high": (top["high"] / bottom["low"].clip(lower=0)).fillna(math.inf),
            }
        )
    return PerSeed(table, "ratio").lacking(_lacks(a, b))


def difference(a: PerSeed, b: PerSeed) -> PerSeed:
    """a − b seed by seed; inf − inf is unknown."""
    first, second = _paired(a, b)
    table = pd.DataFrame(
        {
            "value": first["value"] - second["value"],
            "low": (first["low"] - second["high"]).fillna(-math.inf),
            "high": (first["high"] - second["low"]).fillna(math.inf),
        }
    )
    return PerSeed(table).lacking(_lacks(a, b))


def away_from_one(a: PerSeed) -> PerSeed:
    """max(r, 1/r) of a ratio r seed by seed: 1 where both are equal, 2 where one is twice or half the other."""
    with np.errstate(divide="ignore"):
        logs = np.log(a.values)
    ends = logs[["low", "high"]].abs()
    spans = (logs["low"] <= 0) & (logs["high"] >= 0)
    table = {"value": logs["value"].abs(), "low": ends.min(axis=1).where(~spans, 0.0), "high": ends.max(axis=1)}
    return PerSeed(np.exp(pd.DataFrame(table)), "ratio", a.lacks)


def largest(ratios: Sequence[PerSeed]) -> PerSeed:
    """Seed by seed the largest of several ratios, bounds included: one that is only known to be above 2 is no ∞.

    Raises:
        NotRunError: the ratios have no seed in common.
    """
    common = sorted(set.intersection(*(set(one.values.index) for one in ratios)))
    if not common:
        raise NotRunError("the normalizers have no seed in common")
    sides = {
        side: pd.DataFrame({i: one.values[side] for i, one in enumerate(ratios)}).loc[common].max(axis=1, skipna=False)
        for side in ("value", "low", "high")
    }
    return PerSeed(pd.DataFrame(sides), "ratio", "; ".join(dict.fromkeys(one.lacks for one in ratios if one.lacks)))


def scaled(a: PerSeed, factor: float) -> PerSeed:
    """A number times a positive constant, bounds included."""
    return PerSeed(a.values * factor)


def log(a: PerSeed) -> PerSeed:
    """Natural logarithm of numbers ≥ 0, bounds included."""
    with np.errstate(divide="ignore"):
        return PerSeed(np.log(a.values))


def closeness(x: PerSeed, far: PerSeed, near: PerSeed) -> PerSeed:
    """|x − far| − |x − near| seed by seed: positive where x lies nearer to `near` than to `far`.

    Exact where all three are measured. With only `far` never reached it is at least, with only `near` never reached
    at most, the value at the limit; with only x never reached it is near − far whatever x is; otherwise it is
    unknown.
    """
    points, others = _paired(x, far)
    closer = near.values.reindex(points.index)
    rows = {}
    for seed in points.index:
        p, f, n = points.loc[seed], others.loc[seed], closer.loc[seed]
        open_ends = "".join("?" if row["low"] < row["high"] else "." for row in (p, f, n))
        at_limit = abs(p["low"] - f["low"]) - abs(p["low"] - n["low"])
        bounds = {
            "...": (at_limit, at_limit),
            "?..": (at_limit, at_limit),
            ".?.": (at_limit, math.inf),
            "..?": (-math.inf, at_limit),
        }.get(open_ends, (-math.inf, math.inf))
        known = bounds[0] == bounds[1]
        rows[seed] = {"value": at_limit if known else math.nan, "low": bounds[0], "high": bounds[1]}
    return PerSeed(pd.DataFrame.from_dict(rows, orient="index"))
