"""How much of an answer's fine detail repeats on a grid that its input does not have: checkerboards, windows, seams.

Whatever a network that runs away writes on a photo comes from its strides and windows, which are powers of two: it
repeats every 2, 4, 8 or 16 px, so all of it repeats every 16. The detail of photos does not, and what repeats in one,
such as a fence or the blocks of a JPEG, its input has, too.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, pad

from restorekit.core.image.colour import luma_full
from restorekit.core.image.convention import Images

__all__ = ["REGION_PX", "repeated_share"]

REGION_PX = 64
PERIOD_PX = 16
COPIES = (REGION_PX // PERIOD_PX) ** 2
VISIBLE = 0.02
"""Deviation of the repeated detail, in [0, 1], from which it counts: a checkerboard of 2.5 grey levels up and down."""


@torch.no_grad()
def repeated_share(answer: Images, degraded: Images) -> Float[Tensor, "regions"]:
    """The share of the detail's energy that repeats every 16 px, for each region of 64x64 px, less what the input has.

    Args:
        answer: (1, 3, height, width), nominally in [0, 1].
        degraded: its input, same shape.

    Returns:
        In [0, 1]; 0 where nothing repeats, nothing of it can be seen, or the input has the same pattern at any
        strength. Empty for images without such a region.
    """
    pattern, energy = _pattern(answer)
    given, _ = _pattern(degraded)
    strength = pattern.square().mean(dim=1)
    by_chance = 1 / COPIES
    share = ((strength / energy.clamp_min(1e-12) - by_chance) / (1 - by_chance)).clamp_min(0)
    known = cosine_similarity(pattern, given, dim=1).clamp_min(0).square()
    return torch.where(strength > VISIBLE**2, share * (1 - known), 0.0)


def _pattern(images: Images) -> tuple[Float[Tensor, "regions values"], Float[Tensor, "regions"]]:
    """Per region: the mean of its squares of 16x16 px, less its own mean, and the energy of the detail."""
    rows, columns = (side // REGION_PX for side in images.shape[-2:])
    detail = _detail(images)[: rows * REGION_PX, : columns * REGION_PX]
    times = REGION_PX // PERIOD_PX
    squares = detail.reshape(rows, times, PERIOD_PX, columns, times, PERIOD_PX).mean(dim=(1, 4))
    pattern = squares.permute(0, 2, 1, 3).reshape(rows * columns, PERIOD_PX**2)
    energy = detail.square().reshape(rows, REGION_PX, columns, REGION_PX).mean(dim=(1, 3))
    return pattern - pattern.mean(dim=1, keepdim=True), energy.flatten()


def _detail(images: Images) -> Float[Tensor, "height width"]:
    """Luma less the mean of its four neighbours: nothing of a slope, twice a checkerboard."""
    luma = luma_full(images)
    padded = pad(luma, (1, 1, 1, 1), mode="replicate")[0, 0]
    around = padded[:-2, 1:-1] + padded[2:, 1:-1]
    around += padded[1:-1, :-2]
    around += padded[1:-1, 2:]
    return luma[0, 0] - around / 4
