"""Interval, sign-flip test and Holm's correction against simulation, closed forms, scipy and naive loops."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from restorekit.errors import UsageError
from restorekit.statistics import (
    Interval,
    bootstrap_t_interval,
    holm,
    images_needed,
    paired_permutation_test,
    win_rate,
)


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


# ------------------------------------------------------------------------------------------------ the sign-flip test


def test_permutation_test_counts_sign_patterns_by_hand():
    # sums of 1, 2, 3 with all signs: ±6, ±4, ±2, 0, 0; only ±6 reach the measured 6
    assert paired_permutation_test([1.0, 2.0, 3.0]) == 2 / 8
    # -1, 2, 3 sums to 4: ±6 and ±4 reach it
    assert paired_permutation_test([-1.0, 2.0, 3.0]) == 4 / 8


@pytest.mark.parametrize("values", [[], [0.0] * 5, [3.0], [1.0, -1.0], [0.0] * 20])
def test_permutation_test_finds_nothing_where_nothing_can_be_found(values):
    assert paired_permutation_test(values) == 1.0


def test_permutation_test_counts_ties_that_rounding_would_hide():
    # 0.1 + 0.2 - 0.3 is 5.6e-17, not 0: all 8 patterns tie or exceed it
    assert paired_permutation_test([0.1, 0.2, -0.3]) == 1.0


@pytest.mark.parametrize("count", [6, 11])
def test_permutation_test_is_that_of_scipy_where_all_patterns_are_tried(count):
    values = np.random.default_rng(count).normal(0.5, 1.0, count)
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert paired_permutation_test(values) == pytest.approx(expected.pvalue, abs=1e-12)


def test_permutation_test_is_near_that_of_scipy_where_patterns_are_drawn():
    values = np.random.default_rng(8).normal(0.4, 1.0, 25)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(4)
    )
    p = paired_permutation_test(values, resamples=20_000)
    assert 0.01 < p < 0.2
    assert p == pytest.approx(expected.pvalue, abs=0.01)


def test_permutation_test_p_is_never_zero():
    assert paired_permutation_test(np.full(40, 1.0), resamples=999) == pytest.approx(1 / 1000)
    assert paired_permutation_test(np.full(12, 1.0)) == 2 / 2**12


def test_permutation_test_has_no_direction_and_no_unit_and_repeats():
    values = np.random.default_rng(6).normal(0.3, 1.0, 30)
    p = paired_permutation_test(values, seed=2)
    assert paired_permutation_test(-values, seed=2) == p
    assert paired_permutation_test(list(1024.0 * values), seed=2) == p


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_permutation_test_has_no_p_when_a_value_is_not_finite(bad):
    assert math.isnan(paired_permutation_test([1.0, 2.0, bad]))


def test_permutation_test_rejects_no_resamples():
    with pytest.raises(UsageError, match="resamples: expected at least 1, got 0"):
        paired_permutation_test([1.0, 2.0], resamples=0)


def rejections(draw, *, count: int, trials: int, resamples: int) -> float:
    """The share of data sets of mean zero in which the test finds a difference at 5 %."""
    generator = np.random.default_rng(12)
    found = sum(
        paired_permutation_test(draw(generator, count), resamples=resamples, seed=trial) <= 0.05
        for trial in range(trials)
    )
    return found / trials


def test_permutation_test_finds_a_difference_in_five_percent_of_sets_without_one():
    # standard error of 400 trials: 1.1 %
    assert rejections(lambda g, n: g.standard_t(3, n), count=16, trials=400, resamples=199) == pytest.approx(
        0.05, abs=0.035
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, 24])
def test_permutation_test_size_in_a_long_simulation(count):
    size = rejections(lambda g, n: g.standard_t(5, n), count=count, trials=6000, resamples=999)
    assert size == pytest.approx(0.05, abs=0.009)


def test_permutation_test_finds_a_clear_difference():
    found = [
        paired_permutation_test(np.random.default_rng(seed).normal(1.0, 1.0, 24), resamples=999) <= 0.05
        for seed in range(50)
    ]
    assert np.mean(found) > 0.95  # Student's t test has power 0.997 here


# ------------------------------------------------------------------------------------------- Holm's correction, wins


def test_holm_follows_a_hand_example_in_any_order():
    # ascending 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last may not fall below 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_caps_at_one_and_leaves_a_single_test_alone():
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested():
    adjusted = holm([0.01, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02)
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)


def test_holm_rejects_what_is_no_p_value():
    with pytest.raises(UsageError, match=r"p_values: expected values in \[0, 1\], got 2\.5"):
        holm([0.1, 2.5])


def test_holm_keeps_the_chance_of_any_false_alarm():
    generator = np.random.default_rng(1)
    alarms = [min(holm(generator.random(10))) <= 0.05 for _ in range(2000)]
    assert np.mean(alarms) == pytest.approx(1 - (1 - 0.05 / 10) ** 10, abs=0.015)


def least_p(count: int) -> float:
    """The p of the clearest differences there are, all equal to 1: every sign pattern by itself."""
    sums = [abs(sum(signs)) for signs in itertools.product((-1, 1), repeat=count)]
    return sum(total >= count for total in sums) / len(sums)


@pytest.mark.parametrize("tests", [1, 2, 3, 6, 7, 11, 25, 26, 102])
def test_images_needed_are_the_fewest_that_can_survive_holm(tests):
    """Against trying: the clearest differences, as many tests of them, each p corrected step by step."""
    fewest = next(count for count in range(1, 13) if tests * least_p(count) <= 0.05)  # Holm's factor of the least p
    assert images_needed(tests) == fewest
    assert max(holm([paired_permutation_test(np.ones(fewest))] * tests)) <= 0.05
    assert min(holm([paired_permutation_test(np.ones(fewest - 1))] * tests)) > 0.05


def test_images_needed_know_that_drawn_patterns_have_a_least_p_of_their_own():
    assert (images_needed(103), images_needed(500), images_needed(501)) == (13, 13, None)  # 1 / 10001 is the least p
    assert images_needed(1, resamples=10) == 6
    assert images_needed(3, alpha=0.2) == 5  # 3 x 2 / 32


def test_win_rate_counts_ties_half_and_leaves_out_nan():
    assert win_rate([1.0, -2.0, 3.0, 0.0]) == 2.5 / 4
    assert win_rate([math.inf, -math.inf, math.nan]) == 0.5
    assert math.isnan(win_rate([]))
