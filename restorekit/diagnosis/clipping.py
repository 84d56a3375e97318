"""What clipping to [0, 1] does to normal noise, and back: the moments of a censored normal variable."""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

__all__ = ["censored_moments", "uncensored"]

Floats = npt.NDArray[np.floating]


def censored_moments(mean: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of a normal variable clipped to [0, 1]."""
    low, high = -mean / sigma, (1 - mean) / sigma
    at_low, at_high = (np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) for z in (low, high))
    inside, above = ndtr(high) - ndtr(low), 1 - ndtr(high)
    first = above + mean * inside + sigma * (at_low - at_high)
    second = above + (mean**2 + sigma**2) * inside + 2 * mean * sigma * (at_low - at_high)
    second += sigma**2 * (low * at_low - high * at_high)
    return first, np.sqrt(np.maximum(second - first**2, 0.0))


def uncensored(mean: Floats, deviation: Floats) -> Floats:
    """The standard deviation before clipping to [0, 1], from mean and standard deviation after it, by fixed point."""
    centre, sigma = mean.copy(), np.maximum(deviation, 1e-4)
    for _ in range(30):
        clipped_mean, clipped_deviation = censored_moments(centre, sigma)
        centre = np.clip(centre + mean - clipped_mean, -0.5, 1.5)
        sigma = np.clip(sigma * deviation / np.maximum(clipped_deviation, 1e-5), 1e-4, 1.0)
    return np.where(deviation > 1e-4, sigma, deviation)
