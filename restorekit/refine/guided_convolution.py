"""A convolution over features, prior and position side by side, without putting them side by side.

The plain form concatenates 16 feature, 64 prior and 16 position channels. But the prior is the same at every pixel, and
the position is the same in every image, so their shares of the convolution are computed apart:

- the prior's 64 channels become one channel of ones, whose weights are the prior times theirs. Zero padding treats it
  as it would have treated the 64, so borders are exact;
- the position's share is computed for one image and added to all of a batch. Without gradients that of the last whole
  image is kept, at 36 bytes per image pixel for the widest layer, and serves all further images of that size.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.restorer import Window
from restorekit.refine.config import SLOPE, RefinementConfig
from restorekit.refine.kept import Kept
from restorekit.refine.position import PositionEmbedding
from restorekit.refine.shapes import Features, Guide, PreparedPrior

__all__ = ["GuidedConv2d", "PlaceShare", "PriorMapping", "guide_width", "spread"]

HIDDEN = 256

Response = Float[Tensor, "batch out rows columns"]

PlaceShare = Float[Tensor, "1 out rows columns"]
"""What the position adds to the response of every image."""


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

    def forward(self, features: Features, guide: Guide | None, of_place: PlaceShare | None) -> Response:
        """What the plain convolution of the concatenation gives.

        Args:
            features: (batch, features, rows, columns).
            guide: (batch, guide), the same everywhere, or a map as large as the features.
            of_place: what ``place_share`` gave for the window of the features.

        Returns:
            (batch, out, rows, columns).
        """
        of_features, of_guide, _ = torch.split(self.weight, list(self.parts), dim=1)
        if guide is None:
            response = F.conv2d(features, of_features, padding=1)
        elif guide.ndim == 4:
            both = torch.cat([features, guide], dim=1)
            response = F.conv2d(both, torch.cat([of_features, of_guide], dim=1), padding=1)
        else:
            response = _with_constant(features, of_features, torch.einsum("oikl,bi->bokl", of_guide, guide))
        return response if of_place is None else response.add_(of_place)

    def place_share(self, window: Window) -> PlaceShare | None:
        """The position's share of the result, the same for every image; None without an embedding."""
        if self.embedding is None:
            return None
        is_whole = (window.height, window.width) == (window.full_height, window.full_width)
        if torch.is_grad_enabled() or not is_whole:
            return self._place_share(window)
        return self._kept.get([self.weight, *self.embedding.parameters()], window, lambda: self._place_share(window))

    def _place_share(self, window: Window) -> PlaceShare:
        assert self.embedding is not None
        of_position = self.weight[:, -self.parts[2] :]
        return F.conv2d(self.embedding(window), of_position, padding=1)


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


def _with_constant(
    features: Features, weight: Float[Tensor, "out channels 3 3"], constant: Float[Tensor, "batch out 3 3"]
) -> Response:
    """Convolve each image together with one channel of ones, whose weights are the image's own."""
    batch, _, height, width = features.shape
    maps = torch.cat([features, features.new_ones(batch, 1, height, width)], dim=1)
    responses = [
        F.conv2d(image[None], torch.cat([weight, own[:, None].to(weight.dtype)], dim=1), padding=1)
        for image, own in zip(maps, constant, strict=True)
    ]
    return responses[0] if batch == 1 else torch.cat(responses)


def _centres(start: int, length: int, full: int, like: Tensor) -> Float[Tensor, " length"]:
    """Centres of the pixels start ... start + length - 1, where the whole image spans -1 to 1."""
    places = torch.arange(start, start + length, device=like.device, dtype=like.dtype)
    return (2 * places + 1) / full - 1
