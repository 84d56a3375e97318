"""A whole image that is only ever looked at in pieces: the padded canvas behind the tiler and behind ``survey``.

- This is the only place that pads. The canvas is the image, reflected at its right and bottom edge until height and
  width suit the restorer; a piece of it becomes a float tensor only when it is asked for.
- Pieces start at multiples of ``spec.multiple_of``: a network with strides sees the same phase in every tile.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from restorekit.core.image.convention import SAMPLE_PEAK, Images, Samples, check_images, to_images
from restorekit.core.image.patches import PATCH_PX, Patches, patch_corners
from restorekit.core.restorer import InputSpec, Window

__all__ = ["Canvas", "TensorView", "round_up"]


class Canvas:
    """``samples`` padded to suit ``spec``; implements ``WholeView``.

    Args:
        samples: (height, width, 1 or 3), uint8, uint16 or float32; kept by reference, never copied whole.
        spec: what the restorer asks of sizes.
        tile_px: side of the pieces that ``tiles`` yields, without halo, in px.
    """

    def __init__(self, samples: Samples, spec: InputSpec, *, tile_px: int = 512) -> None:
        self.samples = samples
        self.spec = spec
        self.tile_px = round_up(tile_px, spec.multiple_of)
        self.height = round_up(max(samples.shape[0], spec.minimum), spec.multiple_of)
        self.width = round_up(max(samples.shape[1], spec.minimum), spec.multiple_of)
        self._rows = _reflected_indices(samples.shape[0], self.height)
        self._columns = _reflected_indices(samples.shape[1], self.width)

    def read(self, window: Window) -> Images:
        """The pixels of one window as a float32 image in [0, 1]."""
        rows = self._rows[window.top : window.top + window.height]
        columns = self._columns[window.left : window.left + window.width]
        return to_images(self.samples[_as_slice(rows)][:, _as_slice(columns)])

    def window(self, top: int, left: int, bottom: int, right: int) -> Window:
        """The window [top, bottom) x [left, right), cut to the canvas."""
        top, left = max(top, 0), max(left, 0)
        height, width = min(bottom, self.height) - top, min(right, self.width) - left
        return Window(top, left, height, width, full_height=self.height, full_width=self.width)

    def whole(self) -> Window:
        """The window that is the whole canvas."""
        return self.window(0, 0, self.height, self.width)

    def tiles(self, *, halo: int = 0) -> Iterator[tuple[Images, Window, Window]]:
        """An exact partition of the canvas: (piece with halo, its window, the window of its core)."""
        reach = round_up(halo, self.spec.multiple_of)
        for top in range(0, self.height, self.tile_px):
            for left in range(0, self.width, self.tile_px):
                core = self.window(top, left, top + self.tile_px, left + self.tile_px)
                bottom, right = core.top + core.height, core.left + core.width
                around = self.window(top - reach, left - reach, bottom + reach, right + reach)
                yield self.read(around), around, core

    def overview(self, max_side_px: int) -> Images:
        """The image without padding, averaged over equal blocks so that its longer side is at most ``max_side_px``.

        Blocks are square with an integer side, those at the right and bottom edge may be smaller. Rows are read in
        strips, so that a large photo is never one float array.
        """
        height, width, channels = self.samples.shape
        factor = -(-max(height, width) // max_side_px)
        starts = np.arange(0, width, factor)
        counts = np.diff(np.append(starts, width))[:, None]
        averaged = np.empty((-(-height // factor), len(starts), channels), dtype=np.float32)
        for index, top in enumerate(range(0, height, factor)):
            strip = self.samples[top : top + factor].mean(axis=0, dtype=np.float64)
            averaged[index] = np.add.reduceat(strip, starts, axis=0) / counts
        averaged /= SAMPLE_PEAK[self.samples.dtype.name]
        return to_images(averaged)

    def patches(self) -> Patches:
        """Evenly spaced pieces of the image without padding, at full resolution; see ``cut_patches``."""
        corners = patch_corners(*self.samples.shape[:2])
        pieces = (self.samples[top : top + PATCH_PX, left : left + PATCH_PX] for top, left in corners)
        return torch.cat([to_images(piece) for piece in pieces])[None]


class TensorView(Canvas):
    """One in-memory image as a ``WholeView``: what ``restore`` of a global restorer hands to its own ``survey``."""

    def __init__(self, images: Images, *, tile_px: int = 512) -> None:
        check_images(images, "TensorView")
        samples = images[0].detach().to("cpu", torch.float32).permute(1, 2, 0).numpy()
        super().__init__(samples, InputSpec(), tile_px=tile_px)


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``size``.

    >>> round_up(13, 8)
    16
    """
    return -(-size // multiple) * multiple


def _reflected_indices(size: int, padded: int) -> npt.NDArray[np.intp]:
    """Indices 0..size-1, then mirrored without repeating the edge, as often as it takes."""
    return np.pad(np.arange(size), (0, padded - size), mode="reflect")


def _as_slice(indices: npt.NDArray[np.intp]) -> slice | npt.NDArray[np.intp]:
    """Consecutive indices as a slice, so that reading an inner tile makes no copy."""
    first, last = int(indices[0]), int(indices[-1])
    return slice(first, last + 1) if last - first == len(indices) - 1 else indices
