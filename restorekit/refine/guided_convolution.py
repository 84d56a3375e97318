"""A convolution over features, prior and position side by side, without putting them side by side.

The plain form concatenates 16 feature, 64 prior and 16 position channels. But the prior is the same at every pixel, and
the position is the same in every image:

- the prior's share is one number per output channel, but for the border: there, zero padding leaves out some of the
  nine taps. Which ones follows from the row and from the column apart;
- the position's share is computed for one image and added to all of a batch. Without gradients the embedding of the
  last whole image is kept, at 4 bytes per image pixel, and serves all further images of that size. (To keep its share
  of the widest layer would take 36, the largest buffer of the module, and save 5 % of the operations.)
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.restorer import Window
from restorekit.refine.config import SLOPE, RefinementConfig
from restorekit.refine.kept import Kept
from restorekit.refine.position import PositionEmbedding
from restorekit.refine.shapes import Features, Guide, PositionMap, PreparedPrior
from restorekit.refine.strips import laid_out

__all__ = ["GuidedConv2d", "PriorMapping", "guide_width", "spread"]

HIDDEN = 256

Response = Float[Tensor, "batch out rows columns"]


class PriorMapping(nn.Module):
    """The learned mapping T of a prior (eq. 2, 4, 5). It has no biases, so a prior of zeros gives a guide of zeros.

    Args:
        dim: of the prior.
        mapped: channels of the guide.
        layers: 2 as in the paper, or 1 for plain concatenation.

    Differs from the paper: no; number and width of the layers are the authors' code's.
    """

    def __init__(self, dim: int, mapped: int, *, layers: int = 2) -> None:
        super().__init__()
        if layers == 1:
            self.layers = nn.Sequential(nn.Linear(dim, mapped, bias=False))
        else:
            hidden, out = nn.Linear(dim, HIDDEN, bias=False), nn.Linear(HIDDEN, mapped, bias=False)
            self.layers = nn.Sequential(hidden, nn.LeakyReLU(SLOPE), out)

    @classmethod
    def of(cls, config: RefinementConfig) -> "PriorMapping | None":
        """The mapping that a configuration asks for."""
        if config.prior_use == "none":
            return None
        return cls(config.projected_dim, guide_width(config), layers=2 if config.prior_use == "mapped" else 1)

    def forward(self, prior: PreparedPrior) -> Guide:
        """(batch, dim) to (batch, mapped); a map is mapped at each of its places."""
        return self.layers(prior.movedim(1, -1)).movedim(-1, 1)  # type: ignore[no-any-return]


class GuidedConv2d(nn.Module):
    """A 3x3 convolution with zero padding and without bias over (features, guide, position).

    Args:
        features: channels of the features.
        guide: channels of the guide; 0: there is none.
        position: channels of the position embedding; 0: there is none.
        out: channels of the result.
    """

    def __init__(self, features: int, guide: int, position: int, out: int) -> None:
        super().__init__()
        self.parts = (features, guide, position)
        self.weight = nn.Conv2d(sum(self.parts), out, 3, bias=False).weight
        self.embedding = PositionEmbedding(position) if position else None
        self._kept = Kept()

    def forward(self, features: Features, guide: Guide | None, position: PositionMap | None) -> Response:
        """What the plain convolution of the concatenation gives.

        Args:
            features: (batch, features, rows, columns).
            guide: (batch, guide), the same everywhere, or a map as large as the features.
            position: what ``position`` gave for the window of the features.

        Returns:
            (batch, out, rows, columns).
        """
        of_features, of_guide, of_position = torch.split(self.weight, list(self.parts), dim=1)
        maps, weights = [features], [of_features]
        if guide is not None and guide.ndim == 4:
            maps, weights = [*maps, guide], [*weights, of_guide]
        if position is not None and len(features) == 1:
            maps, weights = [*maps, position.to(features.dtype)], [*weights, of_position]
        response = F.conv2d(torch.cat(maps, dim=1), torch.cat(weights, dim=1), padding=1)
        if position is not None and len(features) > 1:
            response = response + F.conv2d(position, of_position, padding=1)
        if guide is not None and guide.ndim == 2:
            response = _plus_constant(response, torch.einsum("oikl,bi->bokl", of_guide, guide))
        return response

    def position(self, window: Window) -> PositionMap | None:
        """Position features of a window, the same for every image; None without an embedding."""
        if self.embedding is None:
            return None
        embedding = self.embedding
        is_whole = (window.height, window.width) == (window.full_height, window.full_width)
        if torch.is_grad_enabled() or not is_whole:
            return embedding(window)  # type: ignore[no-any-return]
        return self._kept.get(list(embedding.parameters()), window, lambda: laid_out(embedding(window)))


def guide_width(config: RefinementConfig) -> int:
    """Channels of the guide, four times those of the features; 0 without a prior."""
    return 0 if config.prior_use == "none" else 4 * config.width


def spread(guide: Guide, window: Window) -> Float[Tensor, "batch mapped"] | Float[Tensor, "batch mapped rows columns"]:
    """A guide as ``GuidedConv2d`` takes it: a vector as it is, a map bilinearly resized to the window's pixels.

    The map covers the whole image, so a tile sees the same values as the whole.
    """
    if guide.ndim == 2:
        return guide
    rows = _centres(window.top, window.height, window.full_height, guide)
    columns = _centres(window.left, window.width, window.full_width, guide)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    grid = grid.expand(len(guide), -1, -1, -1)
    return F.grid_sample(guide, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _plus_constant(response: Response, taps: Float[Tensor, "batch out 3 3"]) -> Response:
    """Add what a 3x3 convolution with zero padding makes of ones: at each pixel the sum of the taps inside the image.

    Without gradients it is written over ``response``.
    """
    rows, columns = (_inside(side, response) for side in response.shape[2:])
    along = taps.to(response.dtype) @ columns  # (batch, out, 3, columns): the sums of each row of taps
    if torch.is_grad_enabled():
        return response + rows.T @ along
    response += laid_out(along.sum(dim=2, keepdim=True))
    response[:, :, 0] -= along[:, :, 0]
    response[:, :, -1] -= along[:, :, 2]
    return response


def _inside(length: int, like: Tensor) -> Float[Tensor, "3 length"]:
    """1 where the tap before, at or after a pixel lies in the image, 0 where it does not."""
    inside = like.new_ones(3, length)
    inside[0, 0] = inside[2, -1] = 0
    return inside


def _centres(start: int, length: int, full: int, like: Tensor) -> Float[Tensor, " length"]:
    """Centres of the pixels start ... start + length - 1, where the whole image spans -1 to 1."""
    places = torch.arange(start, start + length, device=like.device, dtype=like.dtype)
    return (2 * places + 1) / full - 1
