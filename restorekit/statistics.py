"""How sure a mean difference is: the paired bootstrap-t interval, the sign-flip test, and Holm's correction.

- The input is one difference per image (restorer minus degraded input, on the same image), so what images have in
  common cancels before anything is resampled. Positive means that the first of the two is better.
- Studentised, because the percentile bootstrap is too narrow for the 5 to 30 images of a usual test set.
- Honest about small sets: where the data cannot bound the mean there is no interval, instead of a narrow wrong one.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from restorekit.errors import UsageError

__all__ = [
    "FEWEST",
    "MOST_ENUMERATED",
    "Interval",
    "bootstrap_t_interval",
    "holm",
    "images_needed",
    "paired_permutation_test",
    "win_rate",
]

Values = npt.NDArray[np.float64]

FEWEST = 4
"""Below 4 values more than 2.5 % of the resamples repeat one single value, and the 95 % interval is unbounded."""
MOST_ENUMERATED = 12
"""Up to here all 2^n sign patterns are tried (4096), beyond it random ones."""
_CHUNK = 1 << 21
"""Resampled values held at a time (16 MiB)."""


class Interval(NamedTuple):
    """A confidence interval, in the unit of what was measured."""

    low: float
    high: float


def bootstrap_t_interval(
    differences: Sequence[float] | Values, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval | None:
    """Confidence interval of the mean of paired differences, by the studentised bootstrap.

    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", eqs. 12.20 to 12.22:

        t*_b = (m*_b - m) / se*_b,    interval = [m - t*_(1-α) se,  m - t*_(α) se]

    Measured with 3000 simulated sets of n = 24 at the 95 % level: it covers the mean of normal values 95.0 % of the
    time (Student's t: 95.3 %), and of log-normal(1) values 91.9 % (Student's t: 87.2 %), which is its known limit;
    ``benchmarks/interval_coverage.py`` measures it.

    Args:
        differences: one value per image, in any unit and order.
        level: confidence level in (0, 1).
        resamples: bootstrap resamples B; at least 2 / (1 - level).
        seed: of the resampling; the same arguments always give the same interval.

    Returns:
        The interval. Zero-width if there are two or more values, all equal. None where the data bound nothing: fewer
        than 4 different images, a value that is infinite or NaN (the mean has no spread then), or so few distinct
        values that the quantile falls among resamples without spread.

    Raises:
        UsageError: ``level`` or ``resamples`` is out of range.

    Differs from the paper: quantiles are the k-th smallest and k-th largest of the B values, k = floor((B + 1) α), so
    that the interval of the negated values is the negated interval; a resample without spread counts as ±infinity,
    its limit, where the book leaves the case open.
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level: expected a value in (0, 1), got {level}; 0.95 is usual")
    rank = int((resamples + 1) * (1.0 - level) / 2.0)
    if rank < 1:
        fewest = math.ceil(2.0 / (1.0 - level))
        raise UsageError(f"resamples: expected at least {fewest} at level {level}, got {resamples}; 2000 is usual")
    values = np.asarray(differences, dtype=np.float64).reshape(-1)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    mean = float(values.mean())
    if values.min() == values.max():
        return Interval(float(values[0]), float(values[0]))
    if len(values) < FEWEST:
        return None
    pivots = np.sort(np.concatenate(list(_studentised(values, resamples, seed))))
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    low, high = mean - float(pivots[-rank]) * error, mean - float(pivots[rank - 1]) * error
    return Interval(low, high) if np.isfinite(low) and np.isfinite(high) else None


def paired_permutation_test(differences: Sequence[float] | Values, *, resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of "the mean difference is zero", by flipping signs.

    Good 2005, "Permutation, Parametric and Bootstrap Tests of Hypotheses", the one-sample test of location; with
    drawn patterns Phipson & Smyth 2010, "Permutation P-values should never be zero":

        p = b / 2^n  over all sign patterns (n <= 12),    p = (b + 1) / (m + 1)  over m drawn ones (n > 12)

    where b counts the patterns whose mean is at least as far from zero as the mean that was measured.

    The test is exact where the differences are symmetric about zero under the hypothesis, as they are when the two
    restorers could be exchanged. Skewed differences of mean zero are called different too often: of 2500 simulated
    sets of n = 24 at 5 % it finds 12.6 % of log-normal ones (Student's t test: 12.4 %), but 4.4 % of normal ones.
    Where the histogram is lopsided, trust the bootstrap-t interval.

    Args:
        differences: one value per image, in any unit and order.
        resamples: drawn sign patterns m; the least p-value is 1 / (m + 1).
        seed: of the drawing; the same arguments always give the same p-value.

    Returns:
        p in (0, 1]; 1 where there is no value, or all are zero. With n values it is at least 2 / 2^n, so five images
        or fewer never give p < 0.05. NaN where a value is infinite or NaN: the mean has no sign then.

    Raises:
        UsageError: ``resamples`` is not positive.

    Differs from the paper: no. Sums that differ by rounding alone count as equal.
    """
    if resamples < 1:
        raise UsageError(f"resamples: expected at least 1, got {resamples}; 10000 is usual")
    values = np.asarray(differences, dtype=np.float64).reshape(-1)
    if not np.isfinite(values).all():
        return math.nan
    rounding = 1e-12 * float(np.abs(values).sum())
    least = abs(float(values.sum())) - rounding
    exact = len(values) <= MOST_ENUMERATED
    patterns = _all_signs(len(values)) if exact else _drawn_signs(len(values), resamples, seed)
    extreme = sum(int((np.abs(signs @ values) >= least).sum()) for signs in patterns)
    return extreme / 2 ** len(values) if exact else (extreme + 1) / (resamples + 1)


def holm(p_values: Sequence[float] | Values) -> list[float]:
    """P-values of several tests, adjusted so that comparing each with α keeps the chance of any false alarm below α.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", with p ascending:

        adjusted_(k) = max over j <= k of min(1, (n - j + 1) p_(j))

    Args:
        p_values: one per test, in [0, 1]; the tests may depend on each other in any way. NaN: not tested.

    Returns:
        In the order of ``p_values``, each at least as large as it was. NaN stays NaN and does not count among the n.

    Raises:
        UsageError: a value is outside [0, 1].

    Differs from the paper: stated as adjusted p-values, where the paper rejects step by step.
    """
    values = np.asarray(p_values, dtype=np.float64).reshape(-1)
    tested = np.flatnonzero(~np.isnan(values))
    wrong = [float(value) for value in values[tested] if not 0.0 <= value <= 1.0]
    if wrong:
        raise UsageError(f"p_values: expected values in [0, 1], got {wrong[0]}; give p-values, not statistics")
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    values[order] = np.minimum(1.0, np.maximum.accumulate(factors * values[order]))
    return [float(value) for value in values]


def images_needed(tests: int, *, alpha: float = 0.05, resamples: int = 10_000) -> int | None:
    """The fewest values with which any of so many sign-flip tests can find a difference once ``holm`` has corrected it.

    Holm's first step asks ``tests`` p <= alpha of the least p, and no sign-flip test goes below

        2 / 2^n  (n <= 12),    1 / (m + 1)  (n > 12, m drawn patterns)

    With fewer values nothing can be significant, whatever is measured: that is no word on the differences.

    Args:
        tests: how many are corrected together.
        alpha: what the corrected p is held against.
        resamples: m of ``paired_permutation_test``.

    Returns:
        A number of values; None where no number will do, as for more than 500 tests at 5 % and 10 000 patterns.

    >>> [images_needed(tests) for tests in (1, 3, 6, 7, 11)]
    [6, 7, 8, 9, 9]
    """
    for count in range(1, MOST_ENUMERATED + 2):
        least = 2.0 ** (1 - count) if count <= MOST_ENUMERATED else 1.0 / (resamples + 1)
        if tests * least <= alpha:
            return count
    return None


def win_rate(differences: Sequence[float] | Values) -> float:
    """The share of images on which the difference is positive, in [0, 1]; a tie counts half. NaN without values.

    NaN differences (the metric was undefined) are left out; infinite ones count, because their sign is known.
    """
    values = np.asarray(differences, dtype=np.float64).reshape(-1)
    values = values[~np.isnan(values)]
    return float((0.5 + 0.5 * np.sign(values)).mean()) if len(values) else math.nan


def _all_signs(count: int) -> Iterator[Values]:
    """All 2^count patterns of -1 and +1, (patterns, count)."""
    bits = np.arange(2**count)[:, None] >> np.arange(count)
    yield np.where(bits & 1, -1.0, 1.0)


def _drawn_signs(count: int, resamples: int, seed: int) -> Iterator[Values]:
    """``resamples`` random patterns of -1 and +1, in chunks."""
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // count)
    for start in range(0, resamples, rows):
        flips = generator.integers(0, 2, size=(min(rows, resamples - start), count))
        yield np.where(flips, -1.0, 1.0)


def _studentised(values: Values, resamples: int, seed: int) -> Iterator[Values]:
    """t* of every resample, in chunks; ±infinity where a resample repeats one value."""
    generator = np.random.default_rng(seed)
    count = len(values)
    rows = max(1, _CHUNK // count)
    for start in range(0, resamples, rows):
        picks = values[generator.integers(0, count, size=(min(rows, resamples - start), count))]
        shift = picks.mean(axis=1) - values.mean()
        error = picks.std(axis=1, ddof=1) / count**0.5
        flat = picks.min(axis=1) == picks.max(axis=1)
        limit = np.where(shift == 0.0, 0.0, np.copysign(np.inf, shift))
        yield np.where(flat, limit, shift / np.where(flat, 1.0, error))
