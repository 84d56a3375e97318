"""Pieces of an image at full resolution: its centre, and evenly spaced squares that show what thumbnails hide."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["PATCHES_PER_AXIS", "PATCH_PX", "Patches", "Window", "centred_window", "cut_patches", "patch_corners"]

PATCH_PX = 96
PATCHES_PER_AXIS = 4

Patches = Float[Tensor, "batch patches 3 patch_height patch_width"]
"""Pieces of each of several images."""

Window = tuple[slice, slice]
"""Rows and columns."""


def centred_window(size: Sequence[int], inner: Sequence[int]) -> Window:
    """The centre of an image: of (height, width) ``size`` the (height, width) ``inner``, as much as there is.

    >>> centred_window((100, 7), (60, 8))
    (slice(20, 80, None), slice(0, 7, None))
    """
    rows, columns = (
        slice(start := max(0, whole - part) // 2, start + min(whole, part))
        for whole, part in zip(size, inner, strict=True)
    )
    return rows, columns


def patch_corners(height: int, width: int) -> list[tuple[int, int]]:
    """(top, left) of at most 16 pieces of ``PATCH_PX``: the outermost touch the edges, none lies at two places.

    >>> patch_corners(96, 200)
    [(0, 0), (0, 35), (0, 69), (0, 104)]
    """
    return [(top, left) for top in _starts(height) for left in _starts(width)]


def cut_patches(images: Float[Tensor, "batch 3 height width"]) -> Patches:
    """The pieces of each image; where an image is smaller than ``PATCH_PX``, they are as small."""
    height, width = images.shape[-2:]
    corners = patch_corners(height, width)
    return torch.stack([images[..., top : top + PATCH_PX, left : left + PATCH_PX] for top, left in corners], dim=1)


def _starts(size: int) -> list[int]:
    last = max(size - PATCH_PX, 0)
    return sorted({round(place * last / (PATCHES_PER_AXIS - 1)) for place in range(PATCHES_PER_AXIS)})
