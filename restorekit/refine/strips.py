"""Strips of rows: at inference the widest layers run on a few rows at a time, which takes little memory.

On CPUs channels are innermost then: convolutions of so few channels take a third to two thirds of the time, and the
rows of a strip lie side by side. Everything here is counted in feature pixels: a quarter of the image's, along each
side.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.core.restorer import Window

__all__ = ["SCALE", "Strip", "feature_window", "laid_out", "strips"]

SCALE = 4
"""Image pixels per feature pixel, along each side."""

STRIP_PIXELS = 8192  # 144 float32 channels of them take 4.7 MB: what lies in a core's caches
CUDA_STRIP_PIXELS = 131_072  # 76 MB; fewer would leave most of a GPU idle


@dataclass(frozen=True)
class Strip:
    """Rows [start, stop), and the rows [low, high) around them that are needed to compute them."""

    start: int
    stop: int
    low: int
    high: int

    def outer(self, features: Tensor, scale: int = 1) -> Tensor:
        """A view of the rows [low, high) of something with ``scale`` rows per feature pixel."""
        return features[:, :, scale * self.low : scale * self.high]

    def inner(self, outer: Tensor, scale: int = 1) -> Tensor:
        """A view of the rows [start, stop), given what was computed for [low, high)."""
        return outer[:, :, scale * (self.start - self.low) : scale * (self.stop - self.low)]

    def rows(self, scale: int = 1) -> slice:
        """The rows [start, stop) of something with ``scale`` rows per feature pixel."""
        return slice(scale * self.start, scale * self.stop)


def strips(height: int, width: int, *, halo: int, device: torch.device) -> Iterator[Strip]:
    """Cover ``height`` rows of ``width`` pixels with strips of about the same size."""
    pixels = CUDA_STRIP_PIXELS if device.type == "cuda" else STRIP_PIXELS
    count = max(1, round(height * width / pixels))
    edges = [height * index // count for index in range(count + 1)]
    for start, stop in itertools.pairwise(edges):
        if stop > start:
            yield Strip(start, stop, max(start - halo, 0), min(stop + halo, height))


def laid_out(images: Tensor) -> Tensor:
    """The same images, channels innermost on a CPU; what convolutions make of them is laid out alike."""
    return images.contiguous(memory_format=torch.channels_last) if images.device.type == "cpu" else images


def feature_window(window: Window) -> Window:
    """A window of image pixels, all multiples of four, in feature pixels."""
    return Window(
        window.top // SCALE,
        window.left // SCALE,
        window.height // SCALE,
        window.width // SCALE,
        full_height=window.full_height // SCALE,
        full_width=window.full_width // SCALE,
    )
