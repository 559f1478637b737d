"""Intervals over seeds, each with what it is and how often it covers.

The unit is the seed: an estimate is one number a seed, the median of these is reported, and the interval says where
the median could lie with other seeds. Which interval depends on how many seeds there are and on nothing that was
measured:

- up to 5 seeds, all finite: Student's t, of the logarithms where the number is a ratio. The range of five values (which
  is what a bootstrap's 95 % interval of their median is) covers 93.75 %, a sign test with nothing to spare; that of
  three covers 75 %.
- up to 5 seeds, not all finite (a threshold never reached): the range, for what it is.
- 6 seeds and more: the pair of order statistics whose coverage, exact for every continuous distribution, is the least
  that is at least 95 %.

Share of 20,000 simulated samples of n values whose t-interval holds the true median
(`tests/analysis/test_statistics.py` repeats it with fewer), and the exact coverage of order statistics:

| n | normal | Laplace | t₃ | Cauchy | 1 in 10 × 10 | exponential | order statistics |
|---|---|---|---|---|---|---|---|
| 3 | 0.951 | 0.968 | 0.963 | 0.978 | 0.961 | 0.931 | 0.750 (1st to 3rd) |
| 5 | 0.952 | 0.968 | 0.963 | 0.982 | 0.967 | 0.948 | 0.938 (1st to 5th) |
| 10 | 0.947 | 0.960 | 0.961 | 0.980 | 0.974 | 0.939 | 0.979 (2nd to 9th) |
| 20 | 0.949 | 0.956 | 0.957 | 0.979 | 0.977 | 0.825 | 0.959 (6th to 15th) |

Read on logarithms, "normal" is a lognormal ratio and "exponential" a skewed one: the one in which t fails, and fails
worse the more seeds there are, because its center is the mean. That is why it is used for few seeds only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special  # scipy.stats takes longer to load than pandas, and every page loads this module

MOST_FOR_T = 5
LEAST_FOR_T = 3
DECIDING_COVERAGE = 0.93
"""An interval that covers less decides nothing: the range of five has 0.9375, t with three at its worst 0.931."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval.

    Attributes:
        estimate: the number reported.
        low, high: the ends; they may be infinite, and NaN means that there is none.
        method: what the interval is, in words.
        coverage: how often such an interval holds the median; NaN where that has no meaning (one value, algebra).
    """

    estimate: float
    low: float
    high: float
    method: str = ""
    coverage: float = math.nan

    @property
    def decides(self) -> bool:
        """Whether a verdict may rest on it."""
        return self.coverage >= DECIDING_COVERAGE


def order_statistics(count: int, confidence: float = 0.95) -> tuple[int, float]:
    """The rank r (from 1) and the coverage of the interval [x₍ᵣ₎, x₍ₙ₊₁₋ᵣ₎] of the median of n values.

    Coverage 1 − 2·P(B ≤ r − 1), B binomial(n, ½), exact for every continuous distribution; r is the largest whose
    coverage is at least `confidence`, or 1 (the range) where there is none.

    Example:
        >>> order_statistics(5)
        (1, 0.9375)
    """
    ranks = np.arange(1, count // 2 + 1)
    coverage = 1 - 2 * special.bdtr(ranks - 1, count, 0.5)  # binomial(n, ½)
    enough = np.flatnonzero(coverage >= confidence)
    rank = int(ranks[enough[-1]]) if len(enough) else 1
    return rank, float(1 - 2 * special.bdtr(rank - 1, count, 0.5))


def median_interval(
    low: Sequence[float] | np.ndarray,
    high: Sequence[float] | np.ndarray | None = None,
    *,
    scale: Literal["log", "linear"] = "linear",
    confidence: float = 0.95,
) -> Interval:
    """Median of numbers known between bounds (one pair a seed), with the interval that the module's table names.

    Args:
        low: (n,), the lower bounds, no NaN; ±inf are allowed.
        high: (n,), the upper bounds; the numbers are `low`, exactly, without them.
        scale: where a t-interval is taken; with "log", a number of 0 is as little finite as an infinite one.
        confidence: nominal coverage.

    Returns:
        The interval; the estimate is the median of the numbers that are known exactly, NaN if none is. A single number
        has no interval (ends NaN).

    Raises:
        ValueError: no values, a NaN among them, or bounds in the wrong order.
    """
    lower = np.asarray(low, dtype=float)
    upper = lower if high is None else np.asarray(high, dtype=float)
    if lower.ndim != 1 or not len(lower) or np.isnan([lower, upper]).any() or (lower > upper).any():
        raise ValueError(f"values: expected a list of numbers without NaN, got {low!r} and {high!r}")
    count, known = len(lower), lower[lower == upper]
    estimate = middle(known) if len(known) else math.nan
    if count == 1:
        return Interval(estimate, math.nan, math.nan, "one value")
    exact = len(known) == count
    if exact and (known == known[0]).all():
        return Interval(estimate, estimate, estimate, "all equal", order_statistics(count, confidence)[1])
    logs = scale == "log"
    usable = np.isfinite(known).all() and (not logs or (known > 0).all())
    if exact and usable and LEAST_FOR_T <= count <= MOST_FOR_T:
        ends = _t_interval(np.log(known) if logs else known, confidence)
        ends = (math.exp(ends[0]), math.exp(ends[1])) if logs else ends
        return Interval(estimate, *ends, "t-interval of logarithms" if logs else "t-interval", confidence)
    rank, coverage = order_statistics(count, confidence)
    shown = "range" if rank == 1 else f"values {rank} to {count + 1 - rank} of {count}"
    return Interval(estimate, np.sort(lower)[rank - 1], np.sort(upper)[count - rank], shown, coverage)


def _t_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    half = special.stdtrit(len(values) - 1, 0.5 + confidence / 2) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def middle(values: np.ndarray) -> float:
    """The median of numbers without NaN; ±inf are numbers like others."""
    ranked = np.sort(values)
    pair = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return float(pair[0]) if pair[0] == pair[1] else float(np.mean(pair))


def share_interval(successes: int, count: int, *, confidence: float = 0.95) -> Interval:
    """The share successes/count with Wilson's score interval (10 of 10: [0.72, 1]).

    Raises:
        ValueError: count is below 1, or successes is outside 0 … count.
    """
    if not 0 <= successes <= count or count < 1:
        raise ValueError(f"successes: expected a whole number in 0 … {count}, got {successes} of {count}")
    from scipy.stats import binomtest  # scipy.stats, and only here

    found = binomtest(successes, count).proportion_ci(confidence, method="wilson")
    return Interval(successes / count, float(found.low), float(found.high), "Wilson's interval", confidence)


def rank_correlation(x: Sequence[float], y: Sequence[float], strata: Sequence[object]) -> float:
    """Spearman's ρ within strata: the correlation of ranks that are taken, and centered, in each stratum.

    ρ = Σ a·b/√(Σa²·Σb²), a and b the ranks of x and y in their stratum minus the stratum's mean rank. Infinite values
    take the last ranks, equal values share theirs. NaN if x or y does not vary within any stratum.

    Raises:
        ValueError: lists of different lengths, or a NaN among the numbers.

    Example:
        >>> rank_correlation([1, 2, 10, 20], [5, 6, 1, 2], ["a", "a", "b", "b"])
        1.0
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not a.shape == b.shape == (len(strata),) or np.isnan(a).any() or np.isnan(b).any():
        raise ValueError(f"x, y: expected lists of one length without NaN, got {x!r} and {y!r}")
    return float(_weighted_correlations(a, b, strata, np.ones((1, len(a))))[0])


def clustered_rank_correlation(
    x: Sequence[float],
    y: Sequence[float],
    strata: Sequence[object],
    clusters: Sequence[object],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Spearman's ρ within strata, with a bootstrap over clusters: a normalizer's cells are not independent.

    Whole clusters are drawn with replacement; ranks are taken anew in each draw. Draws in which nothing varies are left
    out. The ends are the quantiles p and 1 − p of the draws, with p = Φ(−√(K/(K − 1))·t_{K−1}(1 − α/2)) for K clusters:
    the expanded percentile interval (Hesterberg, *What Teachers Should Know About the Bootstrap*, 2015), which makes up
    for the draws of few clusters varying less than samples do. Of 300 simulated samples each, with 6 to 20 clusters in
    1 and 4 strata and a true ρ of 0, 0.44 and 0.81, it holds ρ in 97 to 100 %, but 91 % with 6 clusters in one stratum
    and ρ = 0.81 (plain percentiles: 91 to 98 %). Of ρ > 0.98 neither holds it with 6 to 10 clusters: most samples are
    in perfect order. Below 6 clusters there is no interval.
    """
    rho = rank_correlation(x, y, strata)
    names = sorted(set(clusters), key=str)
    if math.isnan(rho) or len(names) < 6:
        return Interval(rho, math.nan, math.nan, f"{len(names)} clusters are too few for an interval")
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    times = (drawn[:, :, None] == np.arange(len(names))).sum(axis=1)  # that each cluster was drawn, (resamples, K)
    weights = times[:, [names.index(entry) for entry in clusters]]
    found, count = _weighted_correlations(np.asarray(x), np.asarray(y), strata, weights), len(names)
    tail = float(special.ndtr(math.sqrt(count / (count - 1)) * special.stdtrit(count - 1, (1 - confidence) / 2)))
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return Interval(rho, float(low), float(high), "bootstrap over normalizers", confidence)


def _weighted_correlations(x: np.ndarray, y: np.ndarray, strata: Sequence[object], weights: np.ndarray) -> np.ndarray:
    """`rank_correlation` of each row of `weights` (draws, n), in which entry i stands so many times; NaN: none."""
    weights = weights.astype(float)
    same = np.array([[one == other for other in strata] for one in strata], dtype=float)
    ranks = []
    for values in (x, y):
        below = (values[None, :] < values[:, None]) + 0.5 * (values[None, :] == values[:, None])
        rank = weights @ (below * same).T  # up to ½, which the mean takes away
        members = weights @ same
        ranks.append(rank - np.divide((weights * rank) @ same, members, out=np.zeros_like(rank), where=members > 0))
    (a, b), scale = ranks, np.sqrt(np.prod([(weights * rank**2).sum(axis=1) for rank in ranks], axis=0))
    return np.divide((weights * a * b).sum(axis=1), scale, out=np.full(len(weights), np.nan), where=scale > 0)


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
