import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from scipy import stats

from normlab.analysis.statistics import (
    Interval,
    clustered_rank_correlation,
    first_reached,
    median_interval,
    middle,
    order_statistics,
    rank_correlation,
    share_interval,
    trailing_mean,
)

TRIALS = 600
DRAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "lognormal": lambda rng, n: np.exp(rng.normal(size=n)),
    "heavy tail": lambda rng, n: np.exp(rng.standard_t(3, size=n)),
    "outliers": lambda rng, n: np.exp(rng.normal(size=n) * np.where(rng.random(n) < 0.1, 10, 1)),
}


def coverage(draw: Callable[[np.random.Generator, int], np.ndarray], count: int, true: float = 1.0) -> float:
    rng = np.random.default_rng(11)
    found = (median_interval(draw(rng, count), scale="log") for _ in range(TRIALS))
    return sum(one.low <= true <= one.high for one in found) / TRIALS


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("count", [3, 5, 10, 20])
def test_the_interval_covers_the_median_at_least_as_often_as_it_says(draw: str, count: int) -> None:
    # nominal 0.95 for t, 0.979 and 0.959 for order statistics; three standard errors of a share of 600 at 0.95: 0.027
    assert coverage(DRAWS[draw], count) > 0.95 - 0.027


@pytest.mark.parametrize("count", [5, 10, 20])
def test_a_threshold_that_some_never_reach_is_covered_as_exactly(count: int) -> None:
    """A third of the values is infinite, so t has no meaning; the median of the mixture is the 3/4 quantile below."""
    true = float(np.exp(stats.norm.ppf(0.75)))

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        return np.where(rng.random(n) < 1 / 3, math.inf, np.exp(rng.normal(size=n)))

    said = order_statistics(count)[1]
    # three standard errors of a share of 600; a range over finite values alone would cover less than said. Samples of
    # five without an infinite value take t, which covers the median of the finite ones, a smaller number
    assert abs(coverage(draw, count, true) - said) < (0.03 if count > 5 else 0.045)


def test_t_fails_on_skewed_logarithms_where_it_is_not_used() -> None:
    """Why six seeds and more take order statistics: t is centered on the mean, and gets surer of it."""
    rng = np.random.default_rng(2)
    samples = np.log(2) - rng.exponential(size=(2000, 20))
    half = stats.t.ppf(0.975, 19) * samples.std(axis=1, ddof=1) / math.sqrt(20)
    assert (abs(samples.mean(axis=1)) <= half).mean() < 0.87  # 0.825 in the module's table; standard error 0.01
    assert coverage(lambda r, n: np.exp(np.log(2) - r.exponential(size=n)), 20) > 0.93  # order statistics: 0.959


@pytest.mark.parametrize(
    ("count", "rank", "covers"), [(2, 1, 0.5), (3, 1, 0.75), (5, 1, 0.9375), (6, 1, 0.96875), (10, 2, 0.978515625)]
)
def test_order_statistics_against_the_binomial_by_hand(count: int, rank: int, covers: float) -> None:
    assert order_statistics(count) == (rank, pytest.approx(covers, rel=1e-12))
    tail = sum(math.comb(count, k) for k in range(rank)) / 2**count
    assert 1 - 2 * tail == pytest.approx(covers, rel=1e-12)


def test_the_innermost_pair_of_order_statistics_is_taken_where_little_confidence_is_asked() -> None:
    assert order_statistics(4, 0.3) == (2, pytest.approx(6 / 16, rel=1e-12))  # of 16 outcomes, two heads
    assert order_statistics(4, 0.4) == (1, pytest.approx(14 / 16, rel=1e-12))
    assert order_statistics(5, 0.6) == (2, pytest.approx(20 / 32, rel=1e-12))


def test_five_finite_values_take_t_and_others_their_range() -> None:
    values = [3.0, 1.0, 2.0, 5.0, 4.0]
    linear = median_interval(values)
    # mean 3, s = √2.5, t₄(0.975) = 2.7764: 3 ± 2.7764·√(2.5/5)
    assert (linear.low, linear.high) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-4)
    logs = median_interval(np.exp(values), scale="log")
    assert (math.log(logs.low), math.log(logs.high)) == pytest.approx((linear.low, linear.high), rel=1e-12)
    assert (logs.method, logs.coverage, logs.decides) == ("t-interval of logarithms", 0.95, True)
    ranged = median_interval([1.0, 2.0, 3.0, math.inf, math.inf], scale="log")
    assert (ranged.estimate, ranged.low, ranged.high) == (3.0, 1.0, math.inf)
    assert (ranged.method, ranged.coverage, ranged.decides) == ("range", 0.9375, True)


def test_a_ratio_of_zero_takes_the_range() -> None:
    """One seed in five is 0 (the other network diverged): on a linear scale t would call the median well above 2."""
    found = median_interval([300.0, 300.0, 0.0, 300.0, 300.0], scale="log")
    assert (found.low, found.high, found.method) == (0.0, 300.0, "range")
    assert median_interval([300.0, 300.0, 0.0, 300.0, 300.0]).low > 2


def test_a_range_of_three_decides_nothing_and_t_of_three_is_wide() -> None:
    assert not median_interval([1.0, 2.0, math.inf]).decides
    three = median_interval([1.0, 1.1, 1.2], scale="log")
    assert three.decides
    assert three.low < 0.9 < 1.3 < three.high


def test_ten_values_give_the_second_and_ninth() -> None:
    found = median_interval(np.arange(10.0), scale="log")
    assert (found.estimate, found.low, found.high) == (4.5, 1.0, 8.0)
    assert found.method == "values 2 to 9 of 10"


def test_bounds_reach_from_the_lower_to_the_upper_ones() -> None:
    found = median_interval([10.0, 20.0, 30.0, 40.0, 100.0], [10.0, 20.0, 30.0, 40.0, math.inf], scale="log")
    assert (found.low, found.high, found.method) == (10.0, math.inf, "range")


def test_one_value_has_no_interval_and_equal_values_have_no_width() -> None:
    one = median_interval([2.0])
    assert one.estimate == 2.0
    assert math.isnan(one.low)
    assert not one.decides
    same = median_interval([2.0, 2.0, 2.0])
    assert (same.low, same.high, same.decides) == (2.0, 2.0, False)
    assert median_interval([2.0] * 5).decides


@pytest.mark.parametrize(
    ("low", "high"),
    [([], None), ([1.0, math.nan], None), ([1.0, 2.0], [1.0, math.nan]), ([1.0, 2.0], [1.0, 1.9]), ([[1.0]], None)],
)
def test_nothing_nan_and_bounds_in_the_wrong_order_are_refused(low: list[float], high: list[float] | None) -> None:
    with pytest.raises(ValueError, match="without NaN"):
        median_interval(low, high)


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_interval_depends_on_the_number_of_seeds(scale: Literal["log", "linear"]) -> None:
    t = "t-interval of logarithms" if scale == "log" else "t-interval"
    expected = ["one value", "range", t, t, t, "range", "range", "range", "values 2 to 8 of 9"]
    found = [median_interval(np.arange(1.0, count + 1), scale=scale) for count in range(1, 10)]
    assert [one.method for one in found] == expected
    assert [one.decides for one in found] == [False, False, True, True, True, True, True, True, True]
    assert Interval(1.0, 1.0, 1.0, "", 0.93).decides
    assert not Interval(1.0, 1.0, 1.0, "", 0.929).decides


def test_the_middle_of_infinite_values() -> None:
    assert middle(np.array([math.inf, math.inf])) == math.inf
    assert middle(np.array([1.0, math.inf])) == math.inf
    assert middle(np.array([3.0, 1.0])) == 2.0


def test_share_interval_of_all_successes_leaves_room() -> None:
    found = share_interval(10, 10)
    # Wilson: n/(n + z²) with z = 1.95996
    assert found.low == pytest.approx(10 / (10 + 1.959964**2), rel=1e-6)
    assert found.high == pytest.approx(1.0)
    for successes, count in ((3, 2), (-1, 2), (0, 0), (0, -1)):
        with pytest.raises(ValueError, match=f"whole number in 0 … {count}, got {successes} of {count}"):
            share_interval(successes, count)
    assert (share_interval(0, 1).estimate, share_interval(1, 1).estimate) == (0.0, 1.0)
    assert share_interval(0, 1).low == 0.0


def test_rank_correlation_is_spearmans_in_one_stratum() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.integers(0, 5, size=30).astype(float)
    assert rank_correlation(x, y, [0] * 30) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert rank_correlation([1, 2, 3, 4], [1, 2, 3, math.inf], [0] * 4) == pytest.approx(1.0)


def test_a_trend_between_strata_is_no_correlation_within_them() -> None:
    """Simpson: within each rate smooth is fast (+1), across the two it looks the other way round."""
    x, y, rate = [1.0, 2.0, 3.0, 11.0, 12.0, 13.0], [11.0, 12.0, 13.0, 1.0, 2.0, 3.0], [1, 1, 1, 2, 2, 2]
    assert rank_correlation(x, y, rate) == pytest.approx(1.0)
    assert rank_correlation(x, y, [1] * 6) < 0
    assert math.isnan(rank_correlation([1.0, 2.0], [1.0, 2.0], ["a", "b"]))  # one cell a stratum says nothing
    for x, y, rate in (
        ([1.0, 2.0], [1.0], [0, 0]),
        ([1.0], [1.0, 2.0], [0, 0]),
        ([1.0, 2.0], [1.0, 2.0], [0]),
        ([1.0, math.nan], [1.0, 2.0], [0, 0]),
        ([1.0, 2.0], [math.nan, 2.0], [0, 0]),
    ):
        with pytest.raises(ValueError, match="one length without NaN"):
            rank_correlation(x, y, rate)


def test_cells_of_one_normalizer_are_one_observation() -> None:
    """Ten rates of each of six normalizers that are ordered at random: sixty cells, and no more than six ranks."""
    rng = np.random.default_rng(3)
    smooth, fast = rng.permutation(6.0 * np.arange(6)), rng.permutation(np.arange(6.0))
    x = [float(s) for s in smooth for _ in range(10)]
    y = [float(f) for f in fast for _ in range(10)]
    rates, kinds = list(range(10)) * 6, [k for k in range(6) for _ in range(10)]
    found = clustered_rank_correlation(x, y, rates, kinds, resamples=300)
    assert found.high - found.low > 0.8  # an interval over sixty independent cells would be 0.4 wide
    few = clustered_rank_correlation(x[:30], y[:30], rates[:30], kinds[:30])
    assert math.isnan(few.low)
    assert not few.decides


def test_an_interval_over_few_clusters_covers_as_often_as_it_says() -> None:
    """Six normalizers of which smoothness and speed are unrelated, each at four rates: the true ρ is 0."""
    rng = np.random.default_rng(5)
    trials, held = 300, 0
    strata, clusters = [rate for rate in range(4) for _ in range(6)], [*range(6)] * 4
    for trial in range(trials):
        own = rng.normal(size=(2, 1, 6))
        x, y = (own + 0.3 * rng.normal(size=(2, 4, 6))).reshape(2, 24)
        found = clustered_rank_correlation(x.tolist(), y.tolist(), strata, clusters, resamples=1000, seed=trial)
        held += found.low <= 0 <= found.high
    assert held / trials > 0.95  # plain percentiles: 0.923; cells drawn as if they were independent: 0.843


def slow_rank_correlation(x: list[float], y: list[float], strata: list[str]) -> float:
    """Pearson's correlation of the ranks that SciPy takes, and that are centered, in each stratum."""
    a, b = np.zeros(len(x)), np.zeros(len(x))
    for ranks, values in ((a, np.array(x)), (b, np.array(y))):
        for stratum in set(strata):
            inside = np.array(strata) == stratum
            ranks[inside] = stats.rankdata(values[inside]) - stats.rankdata(values[inside]).mean()
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def test_rank_correlation_against_scipys_ranks() -> None:
    rng = np.random.default_rng(9)
    x, y = rng.integers(6, size=(2, 40)).astype(float).tolist()
    strata = [str(one) for one in rng.integers(4, size=40)]
    assert rank_correlation(x, y, strata) == pytest.approx(slow_rank_correlation(x, y, strata), rel=1e-13)  # rounding
    assert rank_correlation(x, y, ["a"] * 40) == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-13)


def test_draws_of_clusters_against_a_loop_that_repeats_entries() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.integers(5, size=(2, 21)).astype(float).tolist()  # with ties
    x[3] = math.inf
    strata, clusters = ["a", "b", "c"] * 7, [name for name in "abcdefg" for _ in range(3)]
    found = clustered_rank_correlation(x, y, strata, clusters, resamples=200, seed=8)
    again, slow = np.random.default_rng(8).integers(7, size=(200, 7)), []
    for draw in again:
        kept = [i for k in draw for i in range(21) if clusters[i] == "abcdefg"[k]]
        slow.append(slow_rank_correlation([x[i] for i in kept], [y[i] for i in kept], [strata[i] for i in kept]))
    # K = 7: t₆(0.975) = 2.4469, 2.4469·√(7/6) = 2.6430, Φ(−2.6430) = 0.0041089
    low, high = np.nanquantile(slow, [0.0041089, 1 - 0.0041089])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)  # the rounded quantile's


def test_trailing_mean_by_hand() -> None:
    np.testing.assert_allclose(trailing_mean(np.array([0.0, 1.0, 2.0, 6.0]), 2)[1:], [0.5, 1.5, 4.0], rtol=1e-15)
    assert np.isnan(trailing_mean(np.array([0.0, 1.0]), 2)[0])
    assert np.isnan(trailing_mean(np.array([0.0, 1.0]), 3)).all()


def test_first_reached_counts_batches_and_needs_a_whole_window() -> None:
    accuracy = np.array([0.0, 1.0, 0.0, 0.9, 0.9, 0.9])
    assert first_reached(accuracy, 0.9, 1) == 2  # a single lucky batch
    assert first_reached(accuracy, 0.9, 3) == 6  # three in a row, at their end
    assert first_reached(accuracy, 0.95, 3) == math.inf
    assert first_reached(accuracy, 0.9, 7) == math.inf
    assert first_reached(np.full(3, 0.9), 0.9, 3) == 3  # the rounded mean of 0.9, 0.9, 0.9 still counts
