"""Where a pixel lies, as features: the learned spatial representation S of the paper (S_m in eq. 2, S_c in eq. 5).

Coordinates run from -1 to 1 over the whole image, so a tile knows its place and any size is allowed.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.restorer import Window
from restorekit.refine.config import SLOPE
from restorekit.refine.shapes import PositionMap

__all__ = ["PositionEmbedding", "coordinates"]


class PositionEmbedding(nn.Module):
    """Row and column of each pixel through a 3x3 and a 1x1 convolution.

    Args:
        channels: of the result.

    Differs from the paper: coordinates run from -1 to 1 instead of 1 to the image's size, as in the authors' code;
    otherwise weights would not carry over to another size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(2, channels, 3, bias=False)
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, window: Window) -> PositionMap:
        """Position features of a window, in feature pixels; the same for every image of a batch."""
        expanded = F.leaky_relu_(self.expand(coordinates(window, like=self.expand.weight)), SLOPE)
        return self.mix(expanded)  # type: ignore[no-any-return]


def coordinates(window: Window, *, like: Tensor) -> Float[Tensor, "1 2 framed_rows framed_columns"]:
    """Row and column from -1 to 1 over the whole image, for a window and the ring of one pixel around it.

    Outside the image both are 0, so that a 3x3 convolution without padding equals one with padding on the whole image.
    The result has dtype and device of ``like``.
    """
    rows, inside_rows = _axis(window.top, window.height, window.full_height, like)
    columns, inside_columns = _axis(window.left, window.width, window.full_width, like)
    return torch.stack([rows[:, None] * inside_columns, inside_rows[:, None] * columns])[None]


def _axis(
    start: int, length: int, full: int, like: Tensor
) -> tuple[Float[Tensor, " padded"], Float[Tensor, " padded"]]:
    """(coordinate, 1 inside the image and 0 outside) of the places start - 1 ... start + length."""
    places = F.pad(torch.linspace(-1, 1, full, dtype=like.dtype, device=like.device), (1, 1))
    inside = F.pad(like.new_ones(full), (1, 1))
    here = slice(start, start + length + 2)
    return places[here], inside[here]
