"""How strongly a photo was compressed as JPEG: from the tables of the file, or from the comb its pixels still show.

Decoded JPEG pixels remember their history: every DCT coefficient of the 8x8 blocks lies near a multiple of its
quantisation step. The quality is the one whose steps fit best; re-saving as PNG does not hide it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from restorekit.core.classical.frame import Photo
from restorekit.diagnosis.view import luma

__all__ = ["JpegReading", "Tables", "measure_jpeg", "quality_of_tables", "standard_table"]

Tables = Mapping[int, Sequence[int]]
"""Quantisation tables of a file by number, 64 steps each, as Pillow gives them; 0 is the luma's."""

_LUMINANCE = np.fromstring(
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99",
    dtype=np.int64,
    sep=" ",
)  # ITU-T T.81, table K.1

QUALITIES = range(4, 97)
"""What can be read from pixels: above, the steps are no larger than rounding."""
LOW_FREQUENCIES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0))
MOST_BLOCKS = 4096
CLEAR = 8.0
"""Standard errors by which the comb must stand out; photos without JPEG history stay below 5."""
ROUNDING = 0.45
"""Deviation of a coefficient, in grey levels, from rounding to 8-bit RGB."""


@dataclass(frozen=True)
class JpegReading:
    """JPEG history of a photo."""

    quality: int | None
    """libjpeg's quality, 1 to 100; None where no trace is found."""
    source: Literal["tables", "pixels", "none"]
    """What the quality was read from."""
    blockiness: float
    """Step at the borders of blocks over the step inside them, minus 1: 0 without visible blocks."""
    confidence: float
    """0 to 1: 1 for tables, else how clearly the coefficients form a comb."""


def measure_jpeg(windows: Sequence[Photo]) -> JpegReading:
    """JPEG quality of one photo, from its pixels.

    Args:
        windows: parts at full size that begin at multiples of 8 px.
    """
    planes = [luma(window) * 255 for window in windows]
    rows, columns = _phase(planes, axis=0), _phase(planes, axis=1)
    blockiness = max(0.0, (rows[1] + columns[1]) / 2)
    best = max((_comb(planes, top, left) for top, left in {(0, 0), (rows[0], columns[0])}), key=lambda found: found[1])
    quality, clearness = best
    if clearness < CLEAR:
        return JpegReading(None, "none", blockiness, float(np.clip(1 - clearness / CLEAR, 0, 1)))
    return JpegReading(quality, "pixels", blockiness, float(1 - np.exp(1 - clearness / CLEAR)))


def quality_of_tables(tables: Tables) -> int:
    """The libjpeg quality whose luma table is nearest; orderings of the table do not matter.

    >>> quality_of_tables({0: standard_table(75).tolist()})
    75
    """
    steps = np.sort(np.asarray(tables[min(tables)], dtype=np.float64))
    distances = [float(np.abs(np.sort(standard_table(q)) - steps).sum()) for q in range(1, 101)]
    return 1 + int(np.argmin(distances))


def standard_table(quality: int) -> npt.NDArray[np.int64]:
    """The 64 luma steps of libjpeg at ``quality`` 1 to 100, row by row: table K.1 of ITU-T T.81, scaled."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(np.clip((_LUMINANCE * scale + 50) // 100, 1, 255))


def _phase(planes: Sequence[npt.NDArray[np.float32]], *, axis: int) -> tuple[int, float]:
    """Where blocks begin along ``axis``, 0 to 7, and how much larger the steps are there than elsewhere, minus 1."""
    profile = np.zeros(8)
    for plane in planes:
        steps = np.abs(np.diff(plane, axis=axis)).mean(axis=1 - axis)
        profile += [steps[(start - 1) % 8 :: 8].mean() for start in range(8)]
    start = int(np.argmax(profile))
    others = np.delete(profile, start)
    return start, float(profile[start] / max(others.mean(), 1e-6) - 1)


def _comb(planes: Sequence[npt.NDArray[np.float32]], top: int, left: int) -> tuple[int, float]:
    """The quality whose steps fit the coefficients best, and by how many standard errors they fit.

    For coefficients c near multiples of the step s, the mean of cos(2 pi c / s) is exp(-2 (pi ROUNDING / s)^2); for
    others it is 0. A fine step fits whatever a coarse one fits, but never better.
    """
    coefficients = _coefficients(planes, top, left)
    found, clearest = 0, 0.0
    for quality in QUALITIES:
        steps = standard_table(quality).reshape(8, 8)
        total, count = 0.0, 0
        for (row, column), values in zip(LOW_FREQUENCIES, coefficients, strict=True):
            step = float(steps[row, column])
            large = values[np.abs(values) > 0.5 * step]
            total += float(np.cos(2 * np.pi * large / step).sum())
            count += len(large)
        clearness = total / np.sqrt(max(count, 32) / 2)
        if clearness > clearest:
            found, clearest = quality, clearness
    return found, clearest


def _coefficients(planes: Sequence[npt.NDArray[np.float32]], top: int, left: int) -> list[npt.NDArray[np.float32]]:
    """DCT coefficients of whole 8x8 blocks at ``LOW_FREQUENCIES``; of evenly spread blocks where there are many."""
    parts = []
    for plane in planes:
        cut = plane[top:, left:]
        height, width = (side // 8 * 8 for side in cut.shape)
        parts.append(cut[:height, :width].reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2).reshape(-1, 8, 8))
    blocks = np.concatenate(parts)
    blocks = blocks[:: -(-len(blocks) // MOST_BLOCKS)]
    index = np.arange(8)
    waves = np.cos(np.pi * (2 * index + 1) * index[:, None] / 16) / 2
    waves[0] /= np.sqrt(2)
    basis = np.stack([np.outer(waves[row], waves[column]) for row, column in LOW_FREQUENCIES]).reshape(-1, 64)
    return list(basis.astype(np.float32) @ blocks.reshape(-1, 64).T)
