"""The light of the scene: exposure, colour cast, and haze by the dark channel. All measured on the overview."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from restorekit.core.classical.dark_channel import dark_channel
from restorekit.core.classical.frame import Photo
from restorekit.diagnosis.view import luma

__all__ = ["CastReading", "ExposureReading", "HazeReading", "measure_cast", "measure_exposure", "measure_haze"]

Floats = npt.NDArray[np.floating]

DARK, BRIGHT = 0.08, 0.97
"""Luma below and above which a pixel shows little."""
PATCH_SHARE = 0.012
"""Radius of the dark channel's patches over the longer side."""
BRIGHTEST_SHARE = 0.001
"""Of the dark channel's pixels: they show the airlight, as in He et al. 2009."""
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.95)
CLEAR_CAST = 0.12
"""Strength from which a cast is more likely than a colourful scene; the 90 % quantile of clean photos."""
HIGHLIGHTS = 0.98
"""Quantile of brightness from which a pixel that is not burnt out shows the colour of the light."""
CLEAR_TINT = (0.4, 0.6)
"""Tint of the highlights between which the light itself is coloured; beyond, it is the scene (a pool, red cloth).

Measured on clean photos: in very warm light (linear red, green, blue times 1, 0.6, 0.25) 0.41 to 0.54 for half of them.
"""


@dataclass(frozen=True)
class ExposureReading:
    """Brightness of a photo."""

    mean: float
    """Mean luma, encoded, in [0, 1]."""
    under: float
    """Share of pixels too dark to show anything, luma below 0.08."""
    over: float
    """Share of pixels too bright to show anything, luma above 0.97."""
    quantiles: Floats
    """Luma at ``QUANTILES``."""
    confidence: float
    """0 to 1: how far the photo is from the border between dark and normal, mean luma 0.2."""


@dataclass(frozen=True)
class CastReading:
    """Colour cast of a photo: how far the gray of its scene is from gray."""

    strength: float
    """Length of (red, green, blue) below; 0 is neutral, 0.1 is plain to see."""
    red: float
    """Excess of red over the mean of the channels, relative to it; green and blue the same."""
    green: float
    blue: float
    highlights: float
    """Excess that the brightest pixels have in the same direction: a coloured light tints them, a meadow does not."""
    confidence: float
    """0 to 1: low where the scene is colourful and no gray can be told."""

    @property
    def clear(self) -> bool:
        """Whether the light itself is coloured beyond doubt, so that a remedy is proposed."""
        return self.strength > CLEAR_CAST and CLEAR_TINT[0] < self.highlights < CLEAR_TINT[1]


@dataclass(frozen=True)
class HazeReading:
    """Haze of a photo."""

    density: float
    """Share of the light that is haze, 1 - transmission, in [0, 1]: median over the photo."""
    airlight: tuple[float, float, float]
    """Colour of the haze, in [0, 1]."""
    features: Floats
    """Quantiles of the dark channel and of the darkest channel, mean saturation, local contrast."""


def measure_exposure(overview: Photo) -> ExposureReading:
    """Brightness of the scene."""
    levels = luma(overview)
    mean = float(levels.mean())
    return ExposureReading(
        mean=mean,
        under=float((levels < DARK).mean()),
        over=float((levels > BRIGHT).mean()),
        quantiles=np.quantile(levels, QUANTILES),
        confidence=float(np.clip(abs(np.log2(max(mean, 1e-3) / 0.2)), 0, 1)),
    )


def measure_cast(overview: Photo) -> CastReading:
    """Colour cast by the gray-world rule, over the half of the pixels nearest to gray.

    Buchsbaum 1980 (J. Franklin Institute 310(1)): the mean of a scene is gray.

    Differs from the paper: strong colours do not count, so that a meadow is not taken for a green cast.
    """
    small = cv2.GaussianBlur(overview, (0, 0), 2).reshape(-1, 3)
    level = small.mean(axis=1)
    usable = small[(level > 0.1) & (level < 0.95)]
    if len(usable) < 100:
        return CastReading(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    ratios = usable / usable.mean(axis=1, keepdims=True) - 1
    chroma = np.linalg.norm(ratios, axis=1)
    gray = ratios[chroma <= np.median(chroma)]
    tint = gray.mean(axis=0)
    strength = float(np.linalg.norm(tint))
    brightness = usable.mean(axis=1)
    light = usable[brightness >= np.quantile(brightness, HIGHLIGHTS)].mean(axis=0)
    scatter = float(np.sqrt(gray.var(axis=0).sum()))
    confidence = strength / (strength + scatter + 0.02) if strength > CLEAR_CAST else 1 - strength / CLEAR_CAST
    red, green, blue = tint.tolist()
    return CastReading(
        strength=strength,
        red=red,
        green=green,
        blue=blue,
        highlights=float((light / light.mean() - 1) @ tint) / max(strength, 1e-6),
        confidence=float(np.clip(confidence, 0, 1)),
    )


def measure_haze(overview: Photo) -> HazeReading:
    """Haze by the dark channel: without haze, every patch has a pixel that is dark in some channel.

    He, Sun and Tang 2009 (CVPR), eq. 5 and 12. Differs from the paper: no map, one number; white scenes are mistaken
    for haze as there, which is why the verdict looks at more than the density.
    """
    clipped = np.clip(overview, 0, 1)
    radius = max(2, round(PATCH_SHARE * max(overview.shape[:2])))
    dark = dark_channel(clipped, radius)
    flat = dark.ravel()
    count = max(int(flat.size * BRIGHTEST_SHARE), 1)
    brightest = np.argpartition(flat, -count)[-count:]
    airlight = np.maximum(clipped.reshape(-1, 3)[brightest].mean(axis=0), 0.05)
    veiled = dark_channel(clipped / airlight.astype(np.float32), radius)
    darkest, highest = clipped.min(axis=2), clipped.max(axis=2)
    saturation = 1 - darkest / np.maximum(highest, 1e-3)
    levels = luma(clipped)
    contrast = np.sqrt(np.maximum(cv2.blur(levels * levels, (15, 15)) - cv2.blur(levels, (15, 15)) ** 2, 0))
    features = [
        *np.quantile(dark, QUANTILES),
        *np.quantile(darkest, QUANTILES[:3]),
        *np.quantile(saturation, (0.25, 0.5, 0.9)),
        *np.quantile(contrast, (0.25, 0.5, 0.9)),
    ]
    red, green, blue = airlight.tolist()
    return HazeReading(float(np.clip(np.median(veiled), 0, 1)), (red, green, blue), np.array(features))
