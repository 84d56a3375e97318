"""A 64-bit fingerprint of how a picture looks, nearly the same after resizing, JPEG and mild changes of brightness.

Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions: low frequencies of the discrete cosine
transform of a small gray picture, each compared with their median.

Differs from the paper: the 64 lowest frequencies in the order of u + v without the constant one, where the paper takes
a block of 8x8; a second, finer look at the small picture (``likeness``) settles what the bits leave open.
"""

import cv2
import numpy as np
import numpy.typing as npt

from restorekit.core.image.convention import SAMPLE_PEAK, Samples

__all__ = ["ORIENTATIONS", "SIDE_PX", "bits_of", "hamming", "likeness", "orient", "thumbnail"]

SIDE_PX = 32
"""Side of the gray thumbnail."""

_BY_FREQUENCY = sorted(((u, v) for u in range(12) for v in range(12) if u + v), key=lambda uv: (sum(uv), uv))[:64]
_ROWS, _COLUMNS = (np.array(axis) for axis in zip(*_BY_FREQUENCY, strict=True))
_WEIGHTS = np.uint64(1) << np.arange(64, dtype=np.uint64)

FLAT = 0.002
"""Standard deviation, of 1, below which a thumbnail has nothing to compare."""

ORIENTATIONS = (
    "same",
    "mirrored",
    "upside down",
    "turned by 180",
    "turned by 90",
    "turned by 270",
    "transposed",
    "transposed, turned by 180",
)
"""The eight ways a picture may lie against another, in the order of ``orient``; turns are clockwise."""


def thumbnail(samples: Samples) -> npt.NDArray[np.float32]:
    """(height, width, 1 or 3) samples of any depth as a gray picture, (32, 32), in [0, 1]; pixels are averaged."""
    small = cv2.resize(samples, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    small /= SAMPLE_PEAK[samples.dtype.name]
    return np.asarray(small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def bits_of(small: npt.NDArray[np.float32]) -> np.uint64 | None:
    """The fingerprint of a thumbnail, (32, 32); None for a flat one, which looks like any other."""
    if float(small.std()) < FLAT:
        return None
    low = cv2.dct(small)[_ROWS, _COLUMNS]
    return np.uint64(_WEIGHTS[low > np.median(low)].sum())


def hamming(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """How many bits differ, (n, m), between fingerprints (n) and (m)."""
    return np.asarray(np.bitwise_count(left[:, None] ^ right[None, :]), dtype=np.uint8)


def likeness(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> float:
    """Correlation of two thumbnails, in [-1, 1]; brightness and contrast do not matter."""
    return float(np.corrcoef(left.ravel(), right.ravel())[0, 1])


def orient(small: npt.NDArray[np.float32], way: int) -> npt.NDArray[np.float32]:
    """The thumbnail of a picture that lies as ``ORIENTATIONS[way]`` says, laid straight again."""
    ways = (
        small,
        small[:, ::-1],
        small[::-1],
        small[::-1, ::-1],
        np.rot90(small),
        np.rot90(small, -1),
        small.T,
        small[::-1, ::-1].T,
    )
    return np.ascontiguousarray(ways[way])
