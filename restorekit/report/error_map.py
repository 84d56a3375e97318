"""Where a restored picture is wrong: the absolute error as a colour, on one scale for all restorers of a photo."""

import numpy as np
from jaxtyping import Float

from restorekit.report.record import Picture

__all__ = ["colours_of", "error_levels", "error_map"]

STOPS = ((0, 0, 12), (78, 18, 110), (190, 55, 84), (250, 140, 30), (252, 250, 190))
"""From no error to the most: lightness only grows, so that it reads in gray and for every kind of colour vision."""
LEAST_LEVELS = 4.0
"""A scale never ends below so many of 255 levels: rounding is no error worth a colour."""


def error_levels(degraded: Picture, reference: Picture) -> float:
    """Where the scale ends, in levels of 255: the error that 1 % of the degraded input's pixels exceed."""
    return max(LEAST_LEVELS, float(np.quantile(_error(degraded, reference), 0.99)))


def error_map(picture: Picture, reference: Picture, *, levels: float) -> Picture:
    """The mean absolute error over the three channels, as a colour; ``levels`` and more are the brightest.

    Args:
        picture: (height, width, 3) in 0..255.
        reference: of the same shape.
        levels: where the scale ends, see ``error_levels``.
    """
    return colours_of(_error(picture, reference) / levels)


def colours_of(share: Float[np.ndarray, "height width"]) -> Picture:
    """Colours for values from 0 to 1; what lies beyond is clamped."""
    places = np.linspace(0.0, 1.0, len(STOPS))
    planes = [np.interp(share, places, [stop[channel] for stop in STOPS]) for channel in range(3)]
    colours: Picture = np.rint(np.stack(planes, axis=2)).astype(np.uint8)
    return colours


def _error(picture: Picture, reference: Picture) -> Float[np.ndarray, "height width"]:
    error: Float[np.ndarray, "height width"] = np.abs(picture.astype(np.float64) - reference.astype(np.float64)).mean(
        axis=2
    )
    return error
