"""DenseUNet: a compact U-Net of dense 3x3 convolutions at half resolution and below, made for CPUs.

Ours; its parts are old: residual blocks, a U-Net with added skips, sub-pixel convolution (Shi et al. 2016,
arXiv:1609.05158).

- CPUs run dense convolutions near their peak and depthwise ones, norms and full-resolution features at the speed of
  memory. So there are no norms, and nothing is computed at full resolution.
- But for that curve nothing looks at the whole image: the receptive field is bounded and known, so tiled equals whole.
- The input is centred and scaled before the first layer: twice the gain in noise and rain after 400 steps.
- The last layer starts at zero: a fresh network returns its input.
- For low light and haze a tone curve comes first, estimated on a thumbnail of the whole photo (``tones``).
"""

from itertools import pairwise
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import nn

from restorekit.core.image.patches import Patches
from restorekit.core.networks.base import BlockCounts, FeatureMaps, NetworkConfig, PlainImages, Width
from restorekit.core.networks.tone import Curves, Toner, apply_curves

__all__ = ["DenseBlock", "DenseUNet", "DenseUNetConfig"]

RESIDUAL_GAIN = (
    0.1  # of He initialisation in a block's last layer: blocks start close to the identity, at no cost later
)


class DenseUNetConfig(NetworkConfig):
    """DenseUNet of any size."""

    summary: ClassVar[str] = (
        "DenseUNet (ours): compact dense convolutions with a bounded receptive field, fast on CPUs."
    )

    widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=6)] = (48, 96, 160)
    """Channels of each level; the first is at half resolution, each further one halves again."""
    blocks: BlockCounts = (2, 2, 4)
    """Residual blocks of each level. Each level but the last has them twice, on the way down and on the way up."""
    channels: Width = 3
    """Colour planes of the image: 3 for RGB, 1 for gray."""
    tones: bool = False
    """Whether a tone curve for the whole photo comes first; for RGB."""

    @model_validator(mode="after")
    def _levels_agree(self) -> "DenseUNetConfig":
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"widths and blocks: expected as many levels in both, got {len(self.widths)} and {len(self.blocks)}"
            )
        if self.tones and self.channels != 3:
            raise ValueError(f"channels: expected 3, since tone curves are for RGB, got {self.channels}")
        return self

    def build(self) -> "DenseUNet":
        """The network with fresh weights."""
        return DenseUNet(self)

    @property
    def surveyed(self) -> bool:
        """For the tone curve."""
        return self.tones

    @property
    def planes(self) -> tuple[int, int]:
        """As many planes as the image has."""
        return self.channels, self.channels

    @property
    def multiple_of(self) -> int:
        """The first level is at half resolution, each further one halves again."""
        return int(2 ** len(self.widths))

    @property
    def receptive_field_px(self) -> int:
        """Radius of the receptive field in px, exact: the largest over all places of an output pixel in its cell.

        It is that of ``restore``, once the photo was read.

        The cells are what the network's strides make of the image, ``multiple_of`` px wide.
        """
        reaches = (_inputs_of(place, self.blocks) for place in range(self.multiple_of))
        return max(max(place - low, high - place) for place, (low, high) in enumerate(reaches))


class DenseUNet(nn.Module):
    """Pixels to channels, U-Net, channels to pixels, plus the input itself.

    Args:
        config: widths and depths.
    """

    def __init__(self, config: DenseUNetConfig) -> None:
        super().__init__()
        widths, blocks = config.widths, config.blocks
        steps = list(pairwise(widths))
        self.config = config
        self.stem = nn.Conv2d(4 * config.channels, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(_stack(*level) for level in zip(widths[:-1], blocks, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.middle = _stack(widths[-1], blocks[-1])
        self.ups = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in steps)
        self.decoder = nn.ModuleList(_stack(*level) for level in zip(widths[:-1], blocks, strict=False))
        self.head = nn.Conv2d(widths[0], 4 * config.channels, 3, padding=1)
        _initialise(self.head, gain=0.0)
        self.toner = Toner() if config.tones else None

    def forward(self, images: PlainImages) -> PlainImages:
        """Restore images whose height and width are multiples of ``config.multiple_of``; same shape, unclamped."""
        return self.restore(images, self.read(images))

    def read(self, photos: PlainImages, patches: Patches | None = None) -> Curves | None:  # noqa: ARG002
        """The tone curves of whole photos, or of smaller views of them; None for a network without."""
        return None if self.toner is None else self.toner(photos)

    def restore(self, images: PlainImages, curves: Curves | None) -> PlainImages:
        """Restore images, or tiles of them, given what was read of the whole."""
        if curves is not None:
            images = apply_curves(images, curves)
        features: FeatureMaps = self.stem(F.pixel_unshuffle(images, 2).sub_(0.5).mul_(4))
        skips = []
        for blocks, down in zip(self.encoder, self.downs, strict=True):
            skips.append(blocks(features))
            features = down(skips[-1])
        features = self.middle(features)
        for blocks, up in zip(reversed(self.decoder), reversed(self.ups), strict=True):
            features = blocks(F.pixel_shuffle(up(features), 2).add_(skips.pop()))
        return images + F.pixel_shuffle(self.head(features), 2)


class DenseBlock(nn.Module):
    """3x3 convolution, ReLU, 3x3 convolution, added to the input.

    ReLU, not GELU: forward takes 8 % less time on one CPU core, forward and backward 4 %.

    Args:
        channels: width of the block.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _initialise(self.first, gain=1.0)
        _initialise(self.second, gain=RESIDUAL_GAIN)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        residual: FeatureMaps = self.second(F.relu(self.first(features), inplace=True))
        return residual.add_(features)  # in place: one pass over memory less, and no gradient needs the residual


def _stack(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(DenseBlock(width) for _ in range(blocks)))


def _initialise(convolution: nn.Conv2d, *, gain: float) -> None:
    """He et al. 2015 (arXiv:1502.01852) times ``gain``, without bias."""
    if convolution.weight.is_meta:
        return  # there are no values, and to draw none PyTorch imports its compiler: 80 MB and a second
    nn.init.kaiming_normal_(convolution.weight)
    with torch.no_grad():
        convolution.weight.mul_(gain)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


Interval = tuple[int, int]
"""First and last index along one axis."""


def _inputs_of(place: int, blocks: tuple[int, ...]) -> Interval:
    """First and last input pixel, along one axis, that change output pixel ``place``; the image has no borders."""

    def convolved(span: Interval, count: int) -> Interval:
        return span[0] - count, span[1] + count

    def coarser(span: Interval) -> Interval:
        return span[0] // 2, span[1] // 2

    def finer(span: Interval) -> Interval:
        return 2 * span[0], 2 * span[1] + 1

    def level(span: Interval, index: int) -> Interval:
        """From what leaves the decoder of a level to what enters its encoder."""
        span = convolved(span, 2 * blocks[index])
        if index == len(blocks) - 1:
            return span
        below = finer(level(coarser(span), index + 1))
        return convolved((min(span[0], below[0]), max(span[1], below[1])), 2 * blocks[index])

    return finer(convolved(level(convolved(coarser((place, place)), 1), 0), 1))
