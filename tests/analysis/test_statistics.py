import math

import numpy as np
import pytest

from normlab.analysis.statistics import (
    first_reached,
    median_interval,
    share_interval,
    spearman_interval,
    trailing_mean,
)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
@pytest.mark.parametrize("count", [5, 10])
def test_median_interval_covers_the_median_as_often_as_it_says(draw: str, count: int) -> None:
    rng = np.random.default_rng(11)
    true = {"normal": 0.0, "exponential": math.log(2)}[draw]
    trials = 300
    hits = 0
    for _ in range(trials):
        found = median_interval(getattr(rng, draw)(size=count), resamples=400)
        hits += found.low <= true <= found.high
    # coverage is 0.94–0.95 (5 seeds: the range of five values, 1 − 2/2⁵ = 0.9375); three standard errors of a share
    # of 300 are 0.04. A percentile interval of the mean would have 0.78–0.90, 95 % of one seed 0
    assert abs(hits / trials - 0.945) < 0.045


def test_the_interval_of_five_values_is_their_range() -> None:
    found = median_interval([3.0, 1.0, 2.0, 5.0, 4.0], resamples=4000)
    assert (found.estimate, found.low, found.high) == (3.0, 1.0, 5.0)


def test_ten_values_give_a_narrower_interval_than_their_range() -> None:
    values = np.arange(10.0)
    found = median_interval(values, resamples=4000)
    assert found.estimate == 4.5
    assert 0.0 < found.low < 4.5 < found.high < 9.0


def test_higher_confidence_never_narrows() -> None:
    values = np.random.default_rng(0).normal(size=12)
    narrow, wide = (median_interval(values, confidence=c) for c in (0.8, 0.99))
    assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_infinite_values_are_ranked_and_not_averaged_into_nan() -> None:
    found = median_interval([1.0, 2.0, 3.0, math.inf, math.inf], resamples=4000)
    assert (found.estimate, found.low, found.high) == (3.0, 1.0, math.inf)
    all_infinite = median_interval([math.inf] * 5)
    assert (all_infinite.estimate, all_infinite.low, all_infinite.high) == (math.inf,) * 3


def test_one_value_has_no_interval_and_equal_values_have_no_width() -> None:
    one = median_interval([2.0])
    assert one.estimate == 2.0
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    same = median_interval([2.0, 2.0, 2.0])
    assert (same.low, same.high) == (2.0, 2.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_nothing_and_nan_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="without NaN"):
        median_interval(values)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).normal(size=9)
    assert median_interval(values, seed=4) == median_interval(values, seed=4)


def test_share_interval_of_all_successes_leaves_room() -> None:
    found = share_interval(10, 10)
    # Wilson: n/(n + z²) with z = 1.95996
    assert found.low == pytest.approx(10 / (10 + 1.959964**2), rel=1e-6)
    assert found.high == pytest.approx(1.0)
    with pytest.raises(ValueError, match="whole number"):
        share_interval(3, 2)


def test_spearman_of_ranks_and_ties() -> None:
    assert spearman_interval([1, 2, 3, 4], [1, 4, 9, 16]).estimate == pytest.approx(1.0)
    assert spearman_interval([1, 2, 3, 4], [9, 4, 1, 0]).estimate == pytest.approx(-1.0)
    # ranks (1, 2, 3, 4) and (1, 2.5, 2.5, 4): 1 − error by hand, Σ(a−2.5)(b−2.5)/√(5·4.5) = 4.5/√22.5
    assert spearman_interval([1, 2, 3, 4], [0, 5, 5, 7]).estimate == pytest.approx(4.5 / math.sqrt(22.5), rel=1e-12)
    # never reached takes the last rank
    assert spearman_interval([1, 2, 3, 4], [1, 2, 3, math.inf]).estimate == pytest.approx(1.0)


def test_spearman_without_variation_or_with_few_pairs() -> None:
    assert math.isnan(spearman_interval([1, 1, 1, 1], [1, 2, 3, 4]).estimate)
    few = spearman_interval([1, 2, 3], [1, 3, 2])
    assert few.estimate == pytest.approx(0.5)
    assert math.isnan(few.low)
    with pytest.raises(ValueError, match="one length"):
        spearman_interval([1, 2], [1])


def test_spearman_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    rho = 0.6
    true = 6 / math.pi * math.asin(rho / 2)  # Spearman's ρ of a bivariate normal with correlation ρ
    trials, hits = 1000, 0
    for _ in range(trials):
        x = rng.normal(size=20)
        y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=20)
        found = spearman_interval(x, y)
        hits += found.low <= true <= found.high
    # three standard errors of a share of 1000 at 0.95 are 0.021; the interval is an approximation good to about 0.01
    assert abs(hits / trials - 0.95) < 0.03


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
