"""The bootstrap-t interval against simulation, closed forms and a naive loop."""

import math

import numpy as np
import pytest
from scipy import stats

from restorekit.errors import UsageError
from restorekit.statistics import Interval, bootstrap_t_interval


def coverage(draw, mean: float, *, count: int, trials: int, resamples: int = 400) -> float:
    """The share of simulated data sets whose interval holds the true mean."""
    generator = np.random.default_rng(11)
    hits = 0
    for trial in range(trials):
        interval = bootstrap_t_interval(draw(generator, count), resamples=resamples, seed=trial)
        assert interval is not None
        hits += interval.low <= mean <= interval.high
    return hits / trials


def normal(generator, count):
    return generator.normal(0.3, 2.0, count)


def lognormal(generator, count):
    return generator.lognormal(0.0, 1.0, count)


def test_interval_covers_the_mean_of_normal_data_as_often_as_it_says():
    assert coverage(normal, 0.3, count=24, trials=300) == pytest.approx(0.95, abs=0.035)


def test_interval_covers_the_mean_of_skewed_data_more_often_than_student():
    generator = np.random.default_rng(11)
    mean, hits = math.exp(0.5), 0
    for _ in range(300):
        values = lognormal(generator, 24)
        low, high = stats.t.interval(0.95, 23, loc=values.mean(), scale=stats.sem(values))
        hits += low <= mean <= high
    assert coverage(lognormal, mean, count=24, trials=300) > max(0.88, hits / 300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "mean", "low", "high"), [(normal, 0.3, 0.935, 0.965), (lognormal, math.exp(0.5), 0.89, 0.965)]
)
def test_interval_covers_the_mean_in_a_long_simulation(draw, mean, low, high):
    assert low <= coverage(draw, mean, count=24, trials=3000, resamples=1000) <= high


def test_interval_of_many_normal_values_is_the_student_interval():
    values = np.random.default_rng(3).normal(1.0, 2.0, 2000)
    interval = bootstrap_t_interval(values, resamples=8000)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    assert interval == pytest.approx((low, high), abs=0.05 * (high - low))


def test_interval_agrees_with_a_naive_loop_over_resamples():
    values = np.random.default_rng(5).gamma(2.0, 1.0, 12)
    generator = np.random.default_rng(99)
    pivots = []
    for _ in range(6000):
        pick = generator.choice(values, len(values))
        pivots.append((pick.mean() - values.mean()) / (pick.std(ddof=1) / math.sqrt(len(pick))))
    upper, lower = np.quantile(pivots, [0.975, 0.025])
    expected = (values.mean() - upper * stats.sem(values), values.mean() - lower * stats.sem(values))
    interval = bootstrap_t_interval(values, resamples=20000)
    assert interval == pytest.approx(expected, rel=0.08)


def test_interval_scales_and_reflects_exactly_and_moves_with_the_data():
    values = np.random.default_rng(7).lognormal(size=17)
    interval = bootstrap_t_interval(values)
    assert interval is not None
    assert bootstrap_t_interval(4.0 * values) == (4.0 * interval.low, 4.0 * interval.high)
    assert bootstrap_t_interval(-values) == (-interval.high, -interval.low)
    assert bootstrap_t_interval(values + 8.0) == pytest.approx((interval.low + 8.0, interval.high + 8.0), rel=1e-12)


def test_interval_repeats_for_the_same_seed_and_changes_with_another():
    values = np.random.default_rng(1).normal(size=9)
    assert bootstrap_t_interval(values, seed=4) == bootstrap_t_interval(list(values), seed=4)
    assert bootstrap_t_interval(values, seed=4) != bootstrap_t_interval(values, seed=5)


def test_interval_grows_with_the_level():
    values = np.random.default_rng(2).normal(size=30)
    widths = [
        interval.high - interval.low
        for level in (0.5, 0.8, 0.95, 0.99)
        if (interval := bootstrap_t_interval(values, level=level))
    ]
    assert len(widths) == 4
    assert widths == sorted(widths)


@pytest.mark.parametrize("values", [[], [1.5], [1.0, 2.0], [1.0, 2.0, 4.0]])
def test_interval_is_absent_for_fewer_than_four_differing_values(values):
    assert bootstrap_t_interval(values) is None


def test_interval_exists_from_four_values_on():
    assert bootstrap_t_interval([1.0, 2.0, 4.0, 3.5]) is not None


@pytest.mark.parametrize("values", [[0.1, 0.1], [0.1] * 10])
def test_interval_of_equal_values_has_no_width(values):
    assert bootstrap_t_interval(values) == Interval(0.1, 0.1)


def test_interval_is_absent_where_one_image_carries_all_the_spread():
    # 0.9 ** 10 = 35 % of the resamples are all zero, so their t is unbounded
    assert bootstrap_t_interval([0.0] * 9 + [1.0]) is None


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_interval_is_absent_when_a_value_is_not_finite(bad):
    assert bootstrap_t_interval([1.0, 2.0, 3.0, 4.0, 5.0, bad]) is None


def test_interval_of_many_values_stays_within_memory_and_repeats():
    values = np.random.default_rng(0).normal(size=30_000)
    interval = bootstrap_t_interval(values, resamples=200)
    assert interval is not None
    assert interval.low < values.mean() < interval.high


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_interval_rejects_a_level_outside_zero_to_one(level):
    with pytest.raises(UsageError, match=r"level: expected a value in \(0, 1\), got"):
        bootstrap_t_interval([1.0, 2.0, 3.0, 4.0], level=level)


def test_interval_rejects_too_few_resamples_for_the_level():
    with pytest.raises(UsageError, match=r"resamples: expected at least \d+ at level 0\.95, got 20"):
        bootstrap_t_interval([1.0, 2.0, 3.0, 4.0], resamples=20)
