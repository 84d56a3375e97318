"""What an image is inside restorekit, and the few conversions that keep to it.

- ``Images``: RGB, sRGB-encoded, nominally in [0, 1], upright, float32, batch first. Unclipped noise may leave [0, 1].
- ``Samples``: what a file holds, (height, width, channels), channels 1 or 3, in the file's own depth
  (uint8, uint16 or float32). The tiler reads and writes ``Samples``, so a large photo is never one float tensor.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.errors import ImageError

__all__ = ["SAMPLE_PEAK", "Images", "Samples", "check_images", "convert_depth", "from_images", "quantise", "to_images"]

Images = Float[Tensor, "batch 3 height width"]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]

SAMPLE_PEAK: dict[str, float] = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""The sample value that means 1.0, by numpy dtype name."""


def check_images(images: Tensor, where: str) -> None:
    """Raise ImageError unless ``images`` is a float tensor of shape (batch, 3, height, width) without NaN."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ImageError(f"{where}: expected shape (batch, 3, height, width), got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ImageError(
            f"{where}: expected floating point values in [0, 1], got {images.dtype}; divide by the peak value"
        )
    if not _all_finite(images):
        raise ImageError(f"{where}: expected finite values, got NaN or infinity")


def _all_finite(values: Tensor) -> bool:
    """A finite sum, a tenth of the work, has finite terms; a sum that is not may also have grown too large."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def to_images(samples: Samples) -> Images:
    """(height, width, 1 or 3) samples of any depth to one float32 image; gray becomes three equal channels."""
    peak = SAMPLE_PEAK[samples.dtype.name]
    values = torch.from_numpy(np.ascontiguousarray(samples.transpose(2, 0, 1)).astype(np.float32))
    if peak != 1.0:
        values /= peak
    return values.expand(3, -1, -1)[None] if values.shape[0] == 1 else values[None]


def from_images(images: Images, dtype: npt.DTypeLike, *, channels: int = 3) -> Samples:
    """One image to (height, width, channels) samples; integers are clamped to [0, 1] and rounded, floats are kept.

    With ``channels=1`` the three channels are averaged: a restorer sees a gray image as three equal ones, and the mean
    of its three answers is the one with the least noise.
    """
    image = images[0]
    if channels == 1:
        image = image.mean(dim=0, keepdim=True)
    return quantise(image.permute(1, 2, 0).cpu().numpy(), dtype)


def quantise(values: npt.NDArray[np.float32], dtype: npt.DTypeLike) -> Samples:
    """Values in [0, 1] to samples of ``dtype``, rounding half to even, clamped for integer depths."""
    name = np.dtype(dtype).name
    if name not in SAMPLE_PEAK:
        raise ImageError(f"samples: expected one of {', '.join(SAMPLE_PEAK)}, got {name}")
    if name == "float32":
        return np.ascontiguousarray(values, dtype=np.float32)
    scaled = np.clip(values, 0.0, 1.0)
    scaled *= np.float32(SAMPLE_PEAK[name])  # in place: rows of a large photo are 100 MB a copy
    return np.ascontiguousarray(np.rint(scaled, out=scaled).astype(name))


def convert_depth(samples: npt.NDArray[Any], dtype: npt.DTypeLike) -> Samples:
    """Samples of one depth in another, any shape; 8 -> 16 -> 8 bit gives the same values back.

    >>> convert_depth(np.array([0, 1, 255], dtype=np.uint8), np.uint16)
    array([    0,   257, 65535], dtype=uint16)
    """
    if samples.dtype == np.dtype(dtype):
        return samples
    return quantise(samples.astype(np.float32) / np.float32(SAMPLE_PEAK[samples.dtype.name]), dtype)
