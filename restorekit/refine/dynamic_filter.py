"""A 3x3 filter of its own at every pixel and channel (eq. 6 of the paper), without ever unfolding the features."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.refine.shapes import Features

__all__ = ["TAPS", "Kernels", "apply_kernels", "dynamic_filter", "frame"]

TAPS = 9
"""Weights of a 3x3 kernel."""

Kernels = Float[Tensor, "batch weights rows columns"]
"""Kernel weights of every pixel: channel c uses planes 9c to 9c + 8, row by row."""


def dynamic_filter(features: Features, kernels: Kernels) -> Features:
    """Filter every channel of every pixel with its own 3x3 kernel; the border is replicated.

    out[c, y, x] = sum over i, j in 0..2 of features[c, y + i - 1, x + j - 1] * kernels[9c + 3i + j, y, x].

    Nine shifted views are multiplied and added up: memory is one map, where unfolding takes nine, and a gradient needs
    only the framed features and the kernels.

    Args:
        features: (batch, channels, rows, columns).
        kernels: (batch, 9 channels, rows, columns); used as they are, they need not add up to one.

    Returns:
        Same shape as ``features``.

    Differs from the paper: no. The paper leaves the border open; the authors' code replicates it.
    """
    return apply_kernels(frame(features), kernels)


def frame(features: Features) -> Float[Tensor, "batch channels rows+2 columns+2"]:
    """Features with one replicated pixel around them."""
    return F.pad(features, (1, 1, 1, 1), mode="replicate")


def apply_kernels(framed: Float[Tensor, "batch channels framed_rows framed_columns"], kernels: Kernels) -> Features:
    """``dynamic_filter`` of features that ``frame`` has made larger by a pixel on each side."""
    height, width = kernels.shape[2:]
    filtered: Features = framed[:, :, :height, :width] * kernels[:, ::TAPS]
    for tap in range(1, TAPS):
        row, column = divmod(tap, 3)
        filtered.addcmul_(framed[:, :, row : row + height, column : column + width], kernels[:, tap::TAPS])
    return filtered
