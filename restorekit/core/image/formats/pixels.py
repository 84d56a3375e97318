"""What the readers of the four formats share: the decoded picture, the pixel limit, turning upright, row by row copies.

- Conversions go in bands of rows, so that a large photo needs its own size plus one copy, never three.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from restorekit.core.image.convention import SAMPLE_PEAK, Samples
from restorekit.core.image.metadata import FileRecord
from restorekit.errors import OversizedImage, UnreadableImage

__all__ = [
    "Decoded",
    "band_copy",
    "bands",
    "check_size",
    "pillow_quiet",
    "reverse_channels",
    "straight_alpha",
    "upright",
]

_BAND_ROWS = 256
_PILLOW_LOCK = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """A picture as its file stores it, not yet turned upright."""

    samples: Samples
    """(height, width, 1 or 3), RGB order, native byte order, contiguous."""
    record: FileRecord
    """Blocks as they are in the file."""
    alpha: Samples | None = None
    """(height, width), of the samples' type."""
    orientation: int | None = None
    """EXIF/TIFF orientation, 1 to 8; None if the file does not say."""
    warnings: tuple[str, ...] = ()


def check_size(width: int, height: int, name: str, max_megapixels: float) -> None:
    """Raise unless the picture has pixels, and at most ``max_megapixels`` million of them; called before decoding."""
    if width < 1 or height < 1:
        raise UnreadableImage(f"{name}: expected an image with pixels, got {width} x {height}; the file is damaged")
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise OversizedImage(
            f"{name}: expected at most {max_megapixels:g} megapixels, got {megapixels:.1f} ({width} x {height}); "
            "raise the limit with --max-megapixels if the file is genuine"
        )


def upright(stored: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """(height, width, ...) turned as EXIF orientation 1 to 8 asks; contiguous, one copy at most."""
    turned = stored if orientation < 5 else np.swapaxes(stored, 0, 1)
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def bands(height: int) -> Iterator[tuple[int, int]]:
    """(first row, row after the last) of bands that cover ``height`` rows."""
    for top in range(0, height, _BAND_ROWS):
        yield top, min(height, top + _BAND_ROWS)


def band_copy(
    image: Image.Image, channels: int, *, convert: Callable[[Image.Image], Image.Image] = lambda band: band
) -> npt.NDArray[np.uint8]:
    """A Pillow image as a (height, width, channels) uint8 array; ``convert`` is applied to each band of rows."""
    width, height = image.size
    samples = np.empty((height, width, channels), np.uint8)
    for top, bottom in bands(height):
        band = np.asarray(convert(image.crop((0, top, width, bottom))), dtype=np.uint8)
        samples[top:bottom] = band.reshape(bottom - top, width, channels)
    return samples


def reverse_channels(samples: npt.NDArray[Any]) -> None:
    """BGR to RGB, in place."""
    for top, bottom in bands(samples.shape[0]):
        samples[top:bottom] = samples[top:bottom, :, ::-1].copy()


@contextmanager
def pillow_quiet() -> Iterator[None]:
    """Python warnings off while Pillow parses a header: what matters becomes an error or one of our own warnings.

    Python's warning filters belong to the whole process, so one thread at a time; decoding itself happens outside.
    """
    with _PILLOW_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def straight_alpha(samples: Samples, alpha: Samples) -> Samples:
    """Colours that were multiplied by ``alpha``, divided by it again; where alpha is 0 they stay as they are."""
    result = samples.copy()
    peak = SAMPLE_PEAK[samples.dtype.name]
    for top, bottom in bands(samples.shape[0]):
        opacity = alpha[top:bottom, :, None].astype(np.float64) / peak
        divided = samples[top:bottom] / np.where(opacity > 0, opacity, 1.0)
        result[top:bottom] = divided if samples.dtype == np.float32 else np.rint(np.minimum(divided, peak))
    return result
