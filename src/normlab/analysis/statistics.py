"""Intervals over seeds.

The unit of resampling is the seed: an estimate is one number a seed, the median of these is reported, and the
interval says where the median could lie with other seeds. The method was chosen by measured coverage. Coverage of
nominal 95 % intervals over 2,000 simulated samples of n values each (`tests/analysis/test_statistics.py` repeats
the column in use):

| n | median, percentile: normal / exponential | mean, percentile | mean, BCa |
|---|---|---|---|
| 2 | 0.49 / 0.51 | 0.48 / 0.45 | – |
| 3 | 0.74 / 0.76 | 0.76 / 0.70 | – |
| 5 | 0.94 / 0.94 | 0.82 / 0.78 | 0.84 / 0.79 |
| 10 | 0.95 / 0.94 | 0.90 / 0.87 | 0.90 / 0.89 |
| 20 | 0.94 / 0.94 | 0.93 / 0.91 | 0.91 / 0.92 |

So: the percentile bootstrap of the median. It also takes values that are infinite (a threshold never reached) for
what they are. Below five seeds no resampling can reach 95 %: the interval is then the range of the values, and no
verdict is drawn from it (every rule names the seeds it needs).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_INFINITE = 1e300  # stands for ±inf inside the resampling, where inf − inf would turn quantiles into NaN


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval. Ends may be infinite; NaN means that there is none."""

    estimate: float
    low: float
    high: float


def median_interval(
    values: Sequence[float] | np.ndarray, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Median of `values` (one a seed) and its percentile bootstrap interval.

    Args:
        values: (n,), no NaN; ±inf are allowed.
        confidence: nominal coverage.
        resamples: number of bootstrap samples.
        seed: of the resampling.

    Returns:
        The interval; its ends are NaN for a single value.

    Raises:
        ValueError: no values, or a NaN among them.
    """
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or len(sample) == 0 or np.isnan(sample).any():
        raise ValueError(f"values: expected a list of numbers without NaN, got {values!r}")
    sample = np.clip(sample, -_INFINITE, _INFINITE)
    estimate = _restore(np.median(sample))
    if len(sample) == 1:
        return Interval(estimate, math.nan, math.nan)
    if (sample == sample[0]).all():  # nothing to resample; scipy would warn about a degenerate distribution
        return Interval(estimate, estimate, estimate)
    with np.errstate(over="ignore", invalid="ignore"):  # scipy also takes a standard error, which is not used
        found = stats.bootstrap(
            (sample,),
            np.median,
            vectorized=True,
            n_resamples=resamples,
            confidence_level=confidence,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Interval(estimate, _restore(found.low), _restore(found.high))


def _restore(value: float) -> float:
    """±inf again for a value that could only come from an infinite one (or from the mean of one and a finite one)."""
    return math.copysign(math.inf, value) if abs(value) > _INFINITE / 1e6 else float(value)


def share_interval(successes: int, count: int, *, confidence: float = 0.95) -> Interval:
    """The share successes/count with Wilson's score interval.

    A bootstrap would give 10 of 10 the interval [1, 1]; Wilson's is [0.72, 1].

    Raises:
        ValueError: count is below 1, or successes is outside 0 … count.
    """
    if not 0 <= successes <= count or count < 1:
        raise ValueError(f"successes: expected a whole number in 0 … {count}, got {successes} of {count}")
    found = stats.binomtest(successes, count).proportion_ci(confidence, method="wilson")
    return Interval(successes / count, float(found.low), float(found.high))


def spearman_interval(x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Spearman's rank correlation ρ of n pairs, with the interval of Bonett and Wright (2000).

    atanh ρ ± z·√((1 + ρ²/2)/(n − 3)), mapped back by tanh. Infinite values take the last ranks, equal values share
    theirs. Fewer than 4 pairs have no interval (ends NaN); a constant x or y has no correlation either (all NaN).

    Raises:
        ValueError: lists of different lengths, or a NaN among them.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if a.shape != b.shape or np.isnan(a).any() or np.isnan(b).any():
        raise ValueError(f"x, y: expected two lists of one length without NaN, got {x!r} and {y!r}")
    if len(a) < 2 or len(set(a)) == 1 or len(set(b)) == 1:
        return Interval(math.nan, math.nan, math.nan)
    rho = float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])
    if len(a) < 4:
        return Interval(rho, math.nan, math.nan)
    if abs(rho) > 1 - 1e-12:  # atanh is infinite there, and so is its distance to any end
        return Interval(round(rho), round(rho), round(rho))
    half = stats.norm.ppf(0.5 + confidence / 2) * math.sqrt((1 + rho**2 / 2) / (len(a) - 3))
    return Interval(rho, math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half))


def trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of each entry and the `window` − 1 before it, NaN where there are fewer. Shape as `values`."""
    means = np.full(len(values), np.nan)
    if len(values) >= window:
        means[window - 1 :] = np.convolve(values, np.full(window, 1 / window), mode="valid")
    return means


def first_reached(values: np.ndarray, threshold: float, window: int) -> float:
    """How many values were seen when their trailing mean over `window` first reached `threshold`; inf if it never
    did.

    min {t + 1 : (1/w)·Σ_{i=t−w+1..t} values_i ≥ threshold}. For training accuracy this is a number of batches: the
    paper reads single minibatches of 128 every 100 steps instead, which a lucky batch can pass early.
    """
    reached = np.flatnonzero(
        trailing_mean(values, window) >= threshold - 1e-9
    )  # the mean of equal values may round down
    return float(reached[0] + 1) if len(reached) else math.inf
