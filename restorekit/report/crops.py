"""Where to look: two small windows of a photo that tell restorers apart.

- The first window has the most detail, the second the largest difference between the degraded input and the reference.
- No randomness: the same pictures give the same windows; among equals the topmost, then the leftmost wins.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from restorekit.report.record import Picture

__all__ = ["Box", "choose_windows"]

Heat = Float[np.ndarray, "height width"]


SMOOTHING_PX = 5
"""Detail is measured after averaging over so many px, so that noise left by a weak restorer is not taken for detail."""


class Box(NamedTuple):
    """A window of a picture, in px."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, picture: Picture) -> UInt8[np.ndarray, "rows columns 3"]:
        """The pixels of ``picture`` inside the window."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]


def choose_windows(reference: Picture, degraded: Picture, *, side_px: int) -> tuple[Box, Box]:
    """The window with most detail, and the one with most difference; they overlap only where there is no room.

    Args:
        reference: the clean picture, or the first model's where there is none.
        degraded: the input, same shape.
        side_px: side of the windows; they are smaller if the picture is.
    """
    height, width = min(side_px, reference.shape[0]), min(side_px, reference.shape[1])
    difference = np.abs(reference.astype(np.float32) - degraded.astype(np.float32)).mean(axis=2)
    # One window of the smoothed picture is a window of the picture less the smoothing's own extent.
    side = min(SMOOTHING_PX, height, width)
    detail = _detail(reference, side)
    first = _hottest(_window_sums(detail, height - side + 1, width - side + 1), width, height, avoid=None)
    return first, _hottest(_window_sums(difference, height, width), width, height, avoid=first)


def _detail(picture: Picture, side: int) -> Float[np.ndarray, "tops lefts"]:
    """Square root of the gradient of the ``side`` px box mean: noise averages out, no single edge outweighs all."""
    smooth = _window_sums(picture.astype(np.float32).mean(axis=2), side, side) / side**2
    down = np.abs(np.diff(smooth, axis=0, append=smooth[-1:]))
    across = np.abs(np.diff(smooth, axis=1, append=smooth[:, -1:]))
    detail: Heat = np.sqrt(down + across)
    return detail


def _window_sums(heat: Heat, height: int, width: int) -> Float[np.ndarray, "tops lefts"]:
    """Sum over every window that fits, from the summed-area table."""
    area: Heat = np.pad(heat.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums: Heat = area[height:, width:] - area[:-height, width:] - area[height:, :-width] + area[:-height, :-width]
    return sums


def _hottest(sums: Float[np.ndarray, "tops lefts"], width: int, height: int, *, avoid: Box | None) -> Box:
    """The window of the largest sum that does not overlap ``avoid``, if one such fits."""
    allowed = np.ones(sums.shape, dtype=bool)
    if avoid is not None:
        above, before = max(0, avoid.top - height + 1), max(0, avoid.left - width + 1)
        allowed[above : avoid.top + height, before : avoid.left + width] = False
        if not allowed.any():
            allowed[:] = True
    top, left = np.unravel_index(int(np.argmax(np.where(allowed, sums, -np.inf))), sums.shape)
    return Box(int(left), int(top), width, height)
