"""Real photos of any number and size: the four that scikit-image brings, mirrored until large, cut at fixed places."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

import restorekit

__all__ = ["make_photo", "make_photos", "write_photos"]

Photo = npt.NDArray[np.uint8]
"""(height, width, 3), RGB."""

NAMES = ("coffee", "astronaut", "chelsea", "rocket")


def make_photo(number: int, *, height: int, width: int) -> Photo:
    """The photo of that number: always the same pixels; numbers below 24 at 512x768 all differ."""
    source = restorekit.degrade(f"sample:{NAMES[number % len(NAMES)]}", "none").samples
    turned = np.rot90(source, number // len(NAMES))
    top, left = (37 * number) % turned.shape[0], (53 * number) % turned.shape[1]
    below = (top, max(0, height + top - turned.shape[0]))
    beside = (left, max(0, width + left - turned.shape[1]))
    padded = np.pad(turned, ((0, below[1]), (0, beside[1]), (0, 0)), mode="symmetric")
    return np.ascontiguousarray(padded[top : top + height, left : left + width], dtype=np.uint8)


def make_photos(count: int, *, height: int = 512, width: int = 768) -> list[Photo]:
    """Photos 0 to ``count - 1``."""
    return [make_photo(number, height=height, width=width) for number in range(count)]


def write_photos(folder: Path, photos: list[Photo], *, suffix: str) -> None:
    """``000.png``, ``001.png``, ...; JPEG at quality 92."""
    for number, photo in enumerate(photos):
        PIL.Image.fromarray(photo).save(folder / f"{number:03d}{suffix}", quality=92)
