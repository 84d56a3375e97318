"""How likely rain streaks are: thin bright lines that run near the vertical, gray, and none of them dark.

A bank of oriented line filters looks at the darkest channel of each pixel: rain brightens all three channels, so it
shows there fully, and coloured texture less. Texture has dark lines as often as bright ones; rain has bright ones.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from restorekit.core.classical.frame import Photo

__all__ = ["STREAK_FEATURES", "StreakReading", "measure_streaks"]

Floats = npt.NDArray[np.floating]
Plane = npt.NDArray[np.float32]

ANGLES = tuple(range(-90, 90, 15))
"""Directions of the filters in degrees from vertical."""
STEEP = 50
"""Rain falls within so many degrees of the vertical."""
LENGTH_PX, WIDTH_PX = 5.0, 1.1
"""Standard deviations of a filter along and across its line."""
STRONG = 4.0
"""A line is a response of so many robust standard deviations."""
LIMIT = 12.0
"""Responses beyond it count as this many deviations, so that one bright edge does not decide the skewness."""
MEDIAN_OF_NORMAL = 0.6744897501960817
FAINTEST = 0.002
"""Robust deviation of responses below which they count as rounding, half a grey level."""

STREAK_FEATURES = (
    "bright_lines",
    "dark_lines",
    "excess",
    "steep_energy",
    "skew",
    "peak",
    "skew_of_one_direction",
    "bright_over_dark",
    "whole_skew",
)


@dataclass(frozen=True)
class StreakReading:
    """Bright thin lines of a photo."""

    excess: float
    """Share of pixels on bright steep lines minus the share on dark ones."""
    direction: float
    """In which bright lines outdo dark ones most, in degrees from vertical; positive: the lower end is to the right."""
    features: Floats
    """``STREAK_FEATURES``, logarithms where they are shares or energies."""


def measure_streaks(overview: Photo) -> StreakReading:
    """Bright and dark lines in twelve directions.

    Args:
        overview: the scene, longer side at most about 700 px.
    """
    darkest = np.ascontiguousarray(overview.min(axis=2))
    bright, dark, energy, skew, lopsided = [], [], [], [], []
    for kernel in _line_filters():
        response = _filtered(darkest, kernel)
        deviation = max(float(np.median(np.abs(response[::2, ::2]))) / MEDIAN_OF_NORMAL, FAINTEST)
        square = response * response
        energy.append(float(np.log10(np.mean(square) + 1e-12)))
        lopsided.append(float((square * response).mean()))
        response /= deviation
        bright.append(np.count_nonzero(response > STRONG) / response.size)
        dark.append(np.count_nonzero(response < -STRONG) / response.size)
        np.clip(response, -LIMIT, LIMIT, out=response)
        square = response * response
        skew.append(float((square * response).mean() / max(square.mean(), 1e-6) ** 1.5))
    steep = np.abs(ANGLES) <= STEEP
    shares, depths, powers, skews = (np.array(values) for values in (bright, dark, energy, skew))
    excess = float((shares - depths)[steep].max())
    fall = int(np.argmax(np.where(steep, lopsided, -np.inf)))
    features = [
        np.log10(shares[steep].max() + 1e-4),
        np.log10(depths[steep].max() + 1e-4),
        np.log10(max(excess, 0) + 1e-3),
        powers[steep].max() - powers[~steep].mean(),
        skews[steep].max(),
        powers.max() - np.median(powers),
        skews[steep].max() - np.median(skews),
        np.log10((shares[steep] + 1e-3) / (depths[steep] + 1e-3)).max(),
        np.cbrt(lopsided[fall]) / 10 ** (powers[fall] / 2),
    ]
    return StreakReading(excess, float(ANGLES[fall]), np.array(features))


def _filtered(plane: Plane, kernel: Plane) -> Plane:
    return np.asarray(cv2.filter2D(plane, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101), dtype=np.float32)


@cache
def _line_filters() -> tuple[Plane, ...]:
    """Second derivatives across a line, averaged along it: positive on bright lines, sum 0, absolute sum 2."""
    reach = round(2.5 * LENGTH_PX)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    filters = []
    for degrees in ANGLES:
        turn = np.radians(degrees)
        along = rows * np.cos(turn) + columns * np.sin(turn)
        across = (columns * np.cos(turn) - rows * np.sin(turn)) / WIDTH_PX
        kernel = (1 - across**2) * np.exp(-0.5 * across**2 - 0.5 * (along / LENGTH_PX) ** 2)
        kernel -= kernel.mean()
        filters.append((2 * kernel / np.abs(kernel).sum()).astype(np.float32))
    return tuple(filters)
