"""How a photo of any size is looked at: its scene on an overview, its pixels in windows at full size.

Noise, blur and compression live in single pixels and are measured on windows of the untouched file. Rain, haze, light
and colour belong to the scene and are measured on an overview, at the size at which people look at photos.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restorekit.core.classical.frame import Photo, to_photo
from restorekit.core.image.canvas import Canvas
from restorekit.core.image.convention import Samples, convert_depth
from restorekit.core.restorer import InputSpec
from restorekit.errors import ImageError

__all__ = ["SMALLEST_PX", "Views", "look_at", "luma"]

SMALLEST_PX = 32
OVERVIEW_PX = 720
"""Longest side of the overview; smaller photos are their own."""
WHOLE_PIXELS = 1_000_000
"""Photos up to this many pixels are one window."""
WINDOW_PX = 256
WINDOWS = (4, 4)
"""Rows and columns of windows in larger photos, spread evenly."""
GRID_PX = 8
"""Windows begin at multiples of this, so that JPEG blocks stay whole."""

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Views:
    """What the measurements look at."""

    windows: tuple[Photo, ...]
    """Parts at full size."""
    overview: Photo
    """The whole photo, averaged over square blocks."""


def look_at(samples: Samples) -> Views:
    """The views of one photo.

    Args:
        samples: (height, width, 1 or 3) of any depth, at least 32x32 px.

    Raises:
        ImageError: the photo is smaller, or not finite.
    """
    height, width = samples.shape[:2]
    if min(height, width) < SMALLEST_PX:
        raise ImageError(f"diagnose: expected at least {SMALLEST_PX}x{SMALLEST_PX} px, got {width}x{height}")
    if samples.dtype.kind == "f" and not bool(np.isfinite(samples).all()):
        raise ImageError("diagnose: expected finite values, got NaN or infinity")
    overview = to_photo(Canvas(samples, InputSpec()).overview(OVERVIEW_PX))
    if height * width <= WHOLE_PIXELS:
        return Views((_window(samples, 0, 0, height, width),), overview)
    tall, wide = min(WINDOW_PX, height), min(WINDOW_PX, width)
    tops, lefts = _starts(height - tall, WINDOWS[0]), _starts(width - wide, WINDOWS[1])
    return Views(tuple(_window(samples, top, left, tall, wide) for top in tops for left in lefts), overview)


def luma(photo: Photo) -> Plane:
    """BT.601 luma, (height, width)."""
    return np.asarray(photo @ np.array([0.299, 0.587, 0.114], dtype=np.float32), dtype=np.float32)


def _window(samples: Samples, top: int, left: int, height: int, width: int) -> Photo:
    part = convert_depth(samples[top : top + height, left : left + width], np.float32)
    return np.ascontiguousarray(np.broadcast_to(part, (*part.shape[:2], 3)), dtype=np.float32)


def _starts(last: int, count: int) -> list[int]:
    """Evenly spread multiples of ``GRID_PX`` from 0 to ``last``, each once."""
    return sorted({int(start) // GRID_PX * GRID_PX for start in np.linspace(0, last, count)})
