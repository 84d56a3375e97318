"""Guided filter: smooths one plane along the edges of another, in time independent of the radius."""

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["guided_filter"]

Plane = npt.NDArray[np.float32]


def guided_filter(guide: Plane, source: Plane, *, radius_px: int, epsilon: float) -> Plane:
    """Filter ``source`` so that in every window it is a linear function of ``guide``.

    He, Sun and Tang 2010 (ECCV), eq. 5, 6 and 8:
        a = cov(guide, source) / (var(guide) + epsilon),  b = mean(source) - a mean(guide),
        filtered = mean(a) guide + mean(b),  every mean over a square window.

    Args:
        guide: (height, width), gray, nominally in [0, 1].
        source: (height, width), what is filtered.
        radius_px: windows have 2 r + 1 px on a side; at the borders they are cut, as in the paper.
        epsilon: variance of the guide, in squared units of [0, 1], below which the filter averages.

    Returns:
        (height, width). A pixel depends on those within 2 ``radius_px``.

    Differs from the paper: no.
    """
    size = (2 * radius_px + 1, 2 * radius_px + 1)

    def total(plane: Plane) -> Plane:
        return np.asarray(cv2.boxFilter(plane, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT))

    count = total(np.ones_like(guide))
    guide_mean, source_mean = total(guide) / count, total(source) / count
    covariance = total(guide * source) / count - guide_mean * source_mean
    variance = total(guide * guide) / count - guide_mean * guide_mean
    slope = covariance / (variance + np.float32(epsilon))
    offset = source_mean - slope * guide_mean
    return np.asarray((total(slope) * guide + total(offset)) / count, dtype=np.float32)
