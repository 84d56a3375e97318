"""How strong the noise is, and whether it is white: measured in the flattest blocks of every brightness.

- The photo is cut into blocks of 16x16 px; those with the least low-frequency structure are flat, whatever the noise.
  What they hold at middle and high frequencies is noise. Structure and noise are judged by different frequencies, so
  choosing the flattest blocks does not favour those with little noise.
- Blocks are chosen in classes of brightness: camera noise grows with the light, and the darkest blocks are not typical.
- White noise has a level spectrum and is read where texture hardly reaches. Noise that a camera or an encoder has
  smoothed lives at the same frequencies as texture: there the confidence is low.
- Clipping to [0, 1] takes part of the noise away; it is given back with the moments of a censored normal variable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from restorekit.core.classical.frame import Photo
from restorekit.diagnosis.clipping import uncensored

__all__ = ["BLOCK_PX", "NoiseReading", "measure_noise", "spectrum_correlation"]

Floats = npt.NDArray[np.floating]

BLOCK_PX = 16
STEP_PX = 8
CLASSES = 8
"""Classes of brightness per channel, each with as many blocks as the others."""
FLAT_SHARE = 0.1
"""Of the blocks of one class that count as flat."""
STRUCTURE = 5
"""A frequency whose two indices sum to less than this tells structure, the others tell noise."""
BANDS = (5, 8, 12, 16, 23, 31)
"""Borders of the noise bands, as sums of the two frequency indices."""
HIGH_BAND = 3
"""The first of the bands that texture hardly reaches."""
LOW_CLASS = 0.3
"""Quantile over classes and channels: texture only adds, so the lower readings are the truer ones."""
AGREED_CLASS = 0.7
"""The same for noise that is not white, where the readings agree: flat blocks hold a little less of it than others."""
AGREEMENT = (0.4, 1.0)
"""Interquartile range over median of the readings: full agreement, none. Camera JPEGs 0.4, clean photos 1."""
EVEN = (0.05, 0.1)
"""The same over readings of all bands: below, the flat blocks hold noise alone, whatever its spectrum; above, texture.

Measured with white noise: flat fields 0.02 to 0.04; photos 0.05 in the median at sigma 25, 0.24 at 10, 0.6 at 5."""
STEEPEST = 3.0
"""Below the first band the spectrum rises at most so much again; fitted on camera JPEGs."""
LEVEL = 0.7
"""Least deviation in the last band over that in the one before for noise that is called white.

Measured on photos: white noise 0.76 to 1.0, noise filtered with 0.6 px 0.52 to 0.59, camera JPEGs 0.39 to 0.67."""
BLUE = 1.1
"""Most deviation in high over low noise bands; noise shrunk with a sharpening filter has 1.2."""
STEEPEST_TEXTURE = 2.0
"""Energy in low bands over that in the third that white noise may show; the rest is texture, not correlation."""
CLIPPED_SHARE = 0.3
"""A block with more of its samples at 0 or 1 says nothing about noise."""
FEWEST_BLOCKS = 64
"""With fewer blocks to choose from, the confidence falls in proportion."""
CORRELATED_CONFIDENCE = 0.5
"""Of noise that is not white: texture cannot be told from it."""
GREY_LEVELS = 255.0

_INDEX = np.arange(BLOCK_PX)
_SUMS = _INDEX[:, None] + _INDEX
_MASKS = np.stack([np.isin(_SUMS, range(*borders)) for borders in pairwise(BANDS)])
_COUNTS = _MASKS.sum(axis=(1, 2))
_BELOW = int(np.isin(_SUMS, range(BANDS[0])).sum())
_COSINES = np.cos(np.pi * (2 * _INDEX + 1) * _INDEX[:, None] / (2 * BLOCK_PX)) * np.sqrt(2 / BLOCK_PX)
_DCT = np.asarray(np.where(_INDEX[:, None] == 0, _COSINES / np.sqrt(2), _COSINES), dtype=np.float32)
_LAG = (_DCT[:, :-1] * _DCT[:, 1:]).sum(axis=1) * BLOCK_PX / (BLOCK_PX - 1)  # lag-1 product of each basis function


@dataclass(frozen=True)
class NoiseReading:
    """Noise of a photo."""

    sigma: float
    """Standard deviation in grey levels of 255, over the photo and its channels."""
    correlation: float
    """Autocorrelation of the noise at a lag of 1 px: 0 for white noise, about 0.6 in camera JPEGs."""
    white: bool
    """Whether the spectrum is level at high frequencies."""
    clipped: float
    """Share of samples at 0 or 1."""
    confidence: float
    """0 to 1: how far blocks of different brightness agree; at most 0.5 where the noise is not white."""


def measure_noise(windows: Sequence[Photo]) -> NoiseReading:
    """Noise of one photo, blind.

    The median energy of flat blocks in five bands of the DCT, in eight classes of brightness and each channel, gives 24
    spectra; texture only adds to them, so a low quantile of them is used.

    Args:
        windows: parts of one photo at full size, each at least 16x16 px; values may leave [0, 1] if nothing was
            clipped.
    """
    spectra, means, hits, blocks = _flat_spectra(windows)
    clipped = _clipped_share(windows)
    if not len(spectra):
        return NoiseReading(0.0, 0.0, True, clipped, 0.0)
    low = np.quantile(spectra, LOW_CLASS, axis=0)
    white = bool(low[-1] >= LEVEL**2 * low[-2]) and bool(low[-2] <= BLUE**2 * low[1])
    readings = _whole_readings(spectra)
    if white:
        alone = float(np.interp(_spread(readings), EVEN, (1, 0)))
        readings = alone * readings + (1 - alone) * _white_readings(spectra)
    if hits.max() > 0:
        readings = uncensored(means, readings)
    spread = _spread(readings)
    agreed = 0.0 if white else float(np.interp(spread, AGREEMENT, (1, 0)))
    sigma = float(np.quantile(readings, LOW_CLASS + agreed * (AGREED_CLASS - LOW_CLASS)))
    confidence = min(blocks / FEWEST_BLOCKS, 1.0) / (1.0 + spread**2)
    return NoiseReading(
        sigma=sigma * GREY_LEVELS,
        correlation=spectrum_correlation(np.minimum(low, STEEPEST_TEXTURE * low[2]) if white else low),
        white=white,
        clipped=clipped,
        confidence=confidence if white else CORRELATED_CONFIDENCE * confidence,
    )


def spectrum_correlation(bands: Floats) -> float:
    """Autocorrelation at a lag of 1 px of noise with the given mean energies in ``BANDS``.

    Exactly 0 for a level spectrum. Below the first band the spectrum is continued as in sigma.
    """
    spectrum = np.full((BLOCK_PX, BLOCK_PX), bands[0] * _rise(bands), dtype=np.float64)
    for mask, energy in zip(_MASKS, bands, strict=True):
        spectrum[mask] = energy
    total = spectrum.sum()
    return float((spectrum * _LAG).sum() / total) if total > 0 else 0.0


def _spread(readings: Floats) -> float:
    """Interquartile range over median."""
    lower, median, upper = np.quantile(readings, (0.25, 0.5, 0.75))
    return float(upper - lower) / max(float(median), 1e-6)


def _white_readings(spectra: Floats) -> Floats:
    """Standard deviations of white noise: the bands that texture hardly reaches."""
    energy = (spectra[:, HIGH_BAND:] * _COUNTS[HIGH_BAND:]).sum(axis=1) / _COUNTS[HIGH_BAND:].sum()
    return np.asarray(np.sqrt(energy))


def _whole_readings(spectra: Floats) -> Floats:
    """Standard deviations of noise of any spectrum: all bands, and the first one continued below itself."""
    energy = (_BELOW * _rise(spectra) * spectra[:, 0] + (spectra * _COUNTS).sum(axis=1)) / BLOCK_PX**2
    return np.asarray(np.sqrt(energy))


def _rise(spectra: Floats) -> Floats:
    """By how much the spectrum rises below the first band: as it did before, within limits."""
    return np.asarray(np.clip(spectra[..., 0] / np.maximum(spectra[..., 1], 1e-12), 1.0, STEEPEST))


def _flat_spectra(windows: Sequence[Photo]) -> tuple[Floats, Floats, Floats, int]:
    """(readings, bands) median energies, (readings,) mean brightness and clipped share, and how many blocks there were.

    A reading is one class of brightness of one channel.
    """
    parts = [_band_energies(window) for window in windows]
    structure, bands, means, hits = (np.concatenate([part[k] for part in parts]) for k in range(4))
    spectra, levels, shares = [], [], []
    for channel in range(3):
        usable = np.flatnonzero(hits[:, channel] < CLIPPED_SHARE)
        if len(usable) < CLASSES:
            continue
        by_brightness = usable[np.argsort(means[usable, channel], kind="stable")]
        for members in np.array_split(by_brightness, CLASSES):
            count = max(int(len(members) * FLAT_SHARE), min(4, len(members)))
            flat = members[np.argsort(structure[members, channel], kind="stable")[:count]]
            spectra.append(np.median(bands[flat, channel], axis=0) / (1 - 2 / (9 * _COUNTS)) ** 3)
            levels.append(means[flat, channel].mean())
            shares.append(hits[flat, channel].mean())
    return np.array(spectra), np.array(levels, dtype=np.float64), np.array(shares), len(means)


def _band_energies(window: Photo) -> tuple[Floats, Floats, Floats, Floats]:
    """Per block and channel: structure, (bands) mean noise energies, mean value, share of samples at 0 or 1."""
    views = np.lib.stride_tricks.sliding_window_view(window, (BLOCK_PX, BLOCK_PX), axis=(0, 1))
    blocks = np.ascontiguousarray(views[::STEP_PX, ::STEP_PX]).reshape(-1, 3, BLOCK_PX, BLOCK_PX)
    energy = np.square(_DCT @ blocks @ _DCT.T).reshape(*blocks.shape[:2], -1)
    chosen = np.concatenate([np.isin(_SUMS, range(1, STRUCTURE))[None], _MASKS]).reshape(len(_MASKS) + 1, -1)
    sums = energy @ chosen.T.astype(np.float32)
    free = bool(window.min() < 0 or window.max() > 1)
    hits = np.zeros(blocks.shape[:2]) if free else ((blocks <= 0) | (blocks >= 1)).mean(axis=(2, 3))
    return sums[..., 0], sums[..., 1:] / _COUNTS, blocks.mean(axis=(2, 3)), hits


def _clipped_share(windows: Sequence[Photo]) -> float:
    """Share of samples at 0 or 1; 0 where values leave [0, 1], because then nothing was clipped."""
    if any(window.min() < 0 or window.max() > 1 for window in windows):
        return 0.0
    return float(np.mean([((window <= 0) | (window >= 1)).mean() for window in windows]))
