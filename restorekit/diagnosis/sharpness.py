"""How blurred a photo is: the width of its sharp edges, and how fast its spectrum falls in every direction.

- Edges: Zhuo & Sim 2011 (Pattern Recognition 44(9)): blur a little more and compare gradients; a wide edge loses less.
- Spectrum: mean power of 64x64 px patches in rings of frequency and sectors of direction. Motion blur empties the
  sectors along the motion and leaves those across it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from restorekit.core.classical.frame import Photo
from restorekit.diagnosis.view import luma

__all__ = ["BlurReading", "measure_blur"]

Plane = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]

FINE_PX, COARSE_PX = 0.6, 1.2
"""The two blurs whose gradients are compared, in px of standard deviation."""
SHARP_SHARE = 0.25
"""Quantile of edge widths that is reported: what is in focus, not the background."""
EDGE_GRADIENT = 0.02
"""Weakest edge, per px at the coarse blur; 5 grey levels."""
WIDEST_PX = 8.0
SECTORS = 8
FEWEST_EDGES = 200
PATCH_PX = 64
RINGS = (0.04, 0.09, 0.17, 0.28, 0.40, 0.5)
"""Borders of the rings, in cycles per px."""
CLEAR_MOTION = 1.6
"""Widest over narrowest sector of edges; photos without motion blur stay below in nine of ten cases."""


@dataclass(frozen=True)
class BlurReading:
    """Blur of a photo."""

    sigma_px: float
    """Standard deviation of a Gaussian that would make the sharp edges as wide as they are, in px."""
    direction: float | None
    """Direction of motion in degrees from horizontal, counterclockwise, 0 to 180; None where none is clear."""
    elongation: float
    """Edge width across the widest over that across the narrowest direction; 1 for round blur."""
    slopes: Floats
    """(5 - 1, 3): log10 power of a ring over the next wider one: mean, least and largest over directions."""
    confidence: float
    """0 to 1: how many edges there were."""


def measure_blur(windows: Sequence[Photo]) -> BlurReading:
    """Blur of one photo; noise makes edges of its own and narrows the reading.

    Args:
        windows: parts at full size.

    Differs from the paper: one number for the photo, the width of its sharp edges, instead of a map.
    """
    planes = [luma(window) for window in windows]
    found = [_edges(plane) for plane in planes]
    widths, angles = (np.concatenate([part[k] for part in found]) for k in range(2))
    slopes = _slopes(planes)
    if len(widths) < SECTORS:
        return BlurReading(0.0, None, 1.0, slopes, 0.0)
    sigma = float(np.quantile(widths, SHARP_SHARE))
    sector = np.round(angles / (180 / SECTORS)).astype(int) % SECTORS
    by_sector = [widths[sector == k] for k in range(SECTORS)]
    least = max(len(widths) // 50, 10)
    usual = np.array([np.quantile(part, SHARP_SHARE) if len(part) >= least else np.nan for part in by_sector])
    known = np.isfinite(usual)
    if known.sum() < SECTORS // 2:
        return BlurReading(sigma, None, 1.0, slopes, 0.5 * min(len(widths) / FEWEST_EDGES, 1.0))
    elongation = float((np.nanmax(usual) + 0.5) / (np.nanmin(usual) + 0.5))
    direction = float(np.nanargmax(usual) * 180 / SECTORS) if elongation > CLEAR_MOTION else None
    return BlurReading(sigma, direction, elongation, slopes, min(len(widths) / FEWEST_EDGES, 1.0))


def _edges(plane: Plane) -> tuple[Floats, Floats]:
    """Width in px and direction of the gradient in degrees (0 to 180, counterclockwise), for every edge pixel.

    A step blurred by s has gradients in the ratio R = sqrt((s^2 + b^2) / (s^2 + a^2)) after further blurs a < b, so
    s^2 = (b^2 - R^2 a^2) / (R^2 - 1).
    """
    (fine, _, _), (coarse, across, down) = _gradient(plane, FINE_PX), _gradient(plane, COARSE_PX)
    neighbourhood = cv2.dilate(coarse, np.ones((3, 3), np.uint8))
    threshold = max(EDGE_GRADIENT, float(np.quantile(coarse, 0.8)))
    edge = (coarse > threshold) & (coarse >= 0.97 * neighbourhood)
    ratio = np.square(np.maximum(fine[edge] / coarse[edge], 1 + 1e-3))
    square = (COARSE_PX**2 - ratio * FINE_PX**2) / (ratio - 1)
    width = np.sqrt(np.clip(square, 0.0, WIDEST_PX**2))
    return width, np.degrees(np.arctan2(-down[edge], across[edge])) % 180


def _gradient(plane: Plane, sigma_px: float) -> tuple[Plane, Plane, Plane]:
    """Magnitude, and derivatives to the right and down, per px, after a Gaussian blur."""
    smooth = cv2.GaussianBlur(plane, (0, 0), sigma_px)
    across, down = (
        np.asarray(cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=1, scale=0.5), dtype=np.float32)
        for order in ((1, 0), (0, 1))
    )
    return np.hypot(across, down), across, down


def _slopes(planes: Sequence[Plane]) -> Floats:
    """(rings - 1, 3): log10 of power in one ring over that in the next: mean, least, largest over directions."""
    side = min(PATCH_PX, *(min(plane.shape) for plane in planes))
    step = max(side // 2, 1)
    taper = np.hanning(side)[:, None] * np.hanning(side)
    patches = np.concatenate(
        [
            np.lib.stride_tricks.sliding_window_view(plane, (side, side))[::step, ::step].reshape(-1, side, side)
            for plane in planes
        ]
    )
    patches = (patches - patches.mean(axis=(1, 2), keepdims=True)) * taper
    power = np.square(np.abs(np.fft.fft2(patches))).mean(axis=0)
    frequency = np.fft.fftfreq(side)
    radius = np.hypot(frequency[:, None], frequency)
    angle = np.degrees(np.arctan2(-frequency[:, None], frequency)) % 180
    sector = np.round(angle / (180 / SECTORS)).astype(int) % SECTORS
    levels = np.empty((len(RINGS) - 1, SECTORS))
    for ring, (low, high) in enumerate(pairwise(RINGS)):
        inside = (radius >= low) & (radius < high)
        levels[ring] = [np.log10(power[inside & (sector == k)].mean() + 1e-9) for k in range(SECTORS)]
    drops = levels[:-1] - levels[1:]
    return np.stack([drops.mean(axis=1), drops.min(axis=1), drops.max(axis=1)], axis=1)
