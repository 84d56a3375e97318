"""How strong noise is and whether it is white, by the difference to the clean photo, as it was before clipping.

It is measured where the clean photo is nearest to middle gray, because clipping to [0, 1] takes little there. On a dark
or bright photo clipping takes part of the noise everywhere and shifts its mean, by more the darker the place is, which
looks like correlated noise. What it takes follows from the clean values and is given back.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from restorekit.core.image.convention import Samples, convert_depth
from restorekit.diagnosis.clipping import censored_moments

__all__ = ["measure_difference"]

Floats = npt.NDArray[np.float64]

MIDDLE = 0.2
"""Distance from 0.5 of clean values at which noise of up to 50 grey levels is hardly clipped."""
LEAST_SHARE = 0.1
"""Of the samples: where fewer are that near to 0.5, the nearest ones serve."""
LEVELS = 256
STRONGEST = 0.6
"""Deviation, in [0, 1]: whatever differs more after clipping is no noise, and is reported as it is."""

ROUNDING = 1e-6
"""Deviation that arithmetic with float32 samples leaves of nothing."""


def measure_difference(degraded: Samples, clean: Samples) -> tuple[float, float]:
    """Noise of ``degraded - clean``.

    Args:
        degraded: (height, width, channels) samples; values that leave [0, 1] say that nothing was clipped.
        clean: its reference, same shape.

    Returns:
        Standard deviation in grey levels of 255 before clipping, of everything that differs but for a constant; and
        autocorrelation at a lag of 1 px, mean of both directions, 0 for white noise.
    """
    noisy, reference = (convert_depth(samples, np.float32).astype(np.float64) for samples in (degraded, clean))
    difference = noisy - reference
    distance = np.abs(reference - 0.5)
    chosen = distance <= max(MIDDLE, float(np.quantile(distance, LEAST_SHARE)))
    sigma = float(difference[chosen].std())
    if noisy.min() >= 0 and noisy.max() <= 1:
        level = np.rint(reference * (LEVELS - 1)).astype(np.intp)
        shares = np.bincount(level[chosen], minlength=LEVELS) / chosen.sum()
        sigma = _before_clipping(sigma, shares)
        difference -= _shift_and_deviation(sigma)[0][level] if 0 < sigma <= STRONGEST else 0.0
    difference -= difference[chosen].mean()
    variance = float(np.square(difference[chosen]).mean())
    if variance < ROUNDING**2:
        return 0.0, 0.0
    return sigma * 255, float(np.mean([_lagged(difference, chosen, axis) for axis in (0, 1)])) / variance


def _before_clipping(deviation: float, shares: Floats) -> float:
    """The sigma that clipping left ``deviation`` of, on clean values of which ``shares`` have each level."""

    def excess(sigma: float) -> float:
        shift, left = _shift_and_deviation(sigma)
        return float(shares @ (left**2 + shift**2) - (shares @ shift) ** 2) - deviation**2

    if deviation == 0 or excess(STRONGEST) <= 0:
        return deviation
    return float(brentq(excess, deviation / 2, STRONGEST, xtol=1e-5))


def _shift_and_deviation(sigma: float) -> tuple[Floats, Floats]:
    """By level: change of the mean by clipping, and the standard deviation that it leaves."""
    levels = np.linspace(0, 1, LEVELS)
    mean, deviation = censored_moments(levels, np.full(LEVELS, sigma))
    return np.asarray(mean - levels, dtype=np.float64), np.asarray(deviation, dtype=np.float64)


def _lagged(difference: Floats, chosen: npt.NDArray[np.bool_], axis: int) -> float:
    """Mean product of neighbours along ``axis``, over pairs that are both chosen."""
    last = difference.shape[axis]
    here, there = (np.take(difference, range(*ends), axis=axis) for ends in ((0, last - 1), (1, last)))
    both = np.take(chosen, range(last - 1), axis=axis) & np.take(chosen, range(1, last), axis=axis)
    return float((here * there)[both].mean()) if both.any() else 0.0
