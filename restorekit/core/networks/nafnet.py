"""NAFNet: a U-Net whose blocks have no activation function, only products of halves.

Chen, Chu, Zhang, Sun 2022, "Simple Baselines for Image Restoration" (arXiv:2204.04676).

- Channel attention averages over the whole input, so the result of a tile depends on the tile's own mean features.
- Every block starts as the identity (beta = gamma = 0): a fresh network is a plain U-Net of convolutions.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from restorekit.core.networks.base import BlockCounts, FeatureMaps, NetworkConfig, PlainImages, Width
from restorekit.core.networks.layer_norm import LayerNorm2d

__all__ = ["NAFBlock", "NAFNet", "NAFNetConfig", "simple_gate"]


class NAFNetConfig(NetworkConfig):
    """NAFNet of any width and depth; the defaults are the paper's width-32 denoising network (SIDD, 29.16 M)."""

    summary: ClassVar[str] = "NAFNet (Chen et al. 2022): nonlinear-activation-free U-Net for denoising and deblurring."

    width: Width = 32
    """Channels at full resolution; doubled at each level. 32 or 64 in the paper."""
    encoder_blocks: BlockCounts = (2, 2, 4, 8)
    """Blocks of each encoder level, full resolution first. SIDD: 2,2,4,8. GoPro: 1,1,1,28."""
    middle_blocks: int = Field(default=12, ge=0, le=256)
    """Blocks at the lowest resolution. SIDD: 12. GoPro: 1."""
    decoder_blocks: BlockCounts = (2, 2, 2, 2)
    """Blocks of each decoder level, full resolution first. SIDD: 2,2,2,2. GoPro: 1,1,1,1."""
    channels: Width = 3
    """Colour planes of the image: 3 for RGB, 1 for gray."""

    @model_validator(mode="after")
    def _levels_agree(self) -> "NAFNetConfig":
        if len(self.encoder_blocks) != len(self.decoder_blocks):
            raise ValueError(
                f"encoder_blocks and decoder_blocks: expected as many levels in both, "
                f"got {len(self.encoder_blocks)} and {len(self.decoder_blocks)}"
            )
        return self

    def build(self) -> "NAFNet":
        """The network with fresh weights."""
        return NAFNet(self)

    @property
    def planes(self) -> tuple[int, int]:
        """As many planes as the image has."""
        return self.channels, self.channels

    @property
    def multiple_of(self) -> int:
        """Each level halves height and width."""
        return int(2 ** len(self.encoder_blocks))


class NAFNet(nn.Module):
    """The network of figure 2c: stem, encoder, middle, decoder with added skips, head, plus the input itself.

    Args:
        config: widths and depths.

    Differs from the paper: no. (The authors' code pads its input to a multiple of 16; here the tiler does.)
    """

    def __init__(self, config: NAFNetConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(len(config.encoder_blocks) + 1)]
        self.config = config
        self.stem = nn.Conv2d(config.channels, config.width, 3, padding=1)
        self.encoder = nn.ModuleList(_stack(*level) for level in zip(widths, config.encoder_blocks, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths[:-1])
        self.middle = _stack(widths[-1], config.middle_blocks)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * width, 4 * width, 1, bias=False), nn.PixelShuffle(2)) for width in widths[:-1]
        )
        self.decoder = nn.ModuleList(_stack(*level) for level in zip(widths, config.decoder_blocks, strict=False))
        self.head = nn.Conv2d(config.width, config.channels, 3, padding=1)

    def forward(self, images: PlainImages) -> PlainImages:
        """Restore images whose height and width are multiples of ``config.multiple_of``; same shape, unclamped."""
        features: FeatureMaps = self.stem(images)
        skips = []
        for blocks, down in zip(self.encoder, self.downs, strict=True):
            skips.append(blocks(features))
            features = down(skips[-1])
        features = self.middle(features)
        for blocks, up in zip(reversed(self.decoder), reversed(self.ups), strict=True):
            features = blocks(up(features) + skips.pop())
        residual: PlainImages = self.head(features)
        return images + residual


class NAFBlock(nn.Module):
    """One block: spatial mixing and then channel mixing, each a residual with a learned scale that starts at zero.

    Section 3 of the paper. Mixing: norm, 1x1 to ``mixing_ratio`` times the width, depthwise 3x3, gate, channel
    attention, 1x1. Gating: norm, 1x1 to ``gating_ratio`` times the width, gate, 1x1.

    Args:
        channels: width of the block.
        mixing_ratio: even; 2 in the paper.
        gating_ratio: even; 2 in the paper.

    Differs from the paper: no. Dropout, zero in every published configuration, is left out.
    """

    def __init__(self, channels: int, *, mixing_ratio: int = 2, gating_ratio: int = 2) -> None:
        super().__init__()
        mixed, gated = mixing_ratio * channels, gating_ratio * channels
        self.mixing_norm = LayerNorm2d(channels)
        self.mixing_expand = nn.Conv2d(channels, mixed, 1)
        self.mixing_depthwise = nn.Conv2d(mixed, mixed, 3, padding=1, groups=mixed)
        self.attention = nn.Conv2d(mixed // 2, mixed // 2, 1)
        self.mixing_project = nn.Conv2d(mixed // 2, channels, 1)
        self.gating_norm = LayerNorm2d(channels)
        self.gating_expand = nn.Conv2d(channels, gated, 1)
        self.gating_project = nn.Conv2d(gated // 2, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        mixed = simple_gate(self.mixing_depthwise(self.mixing_expand(self.mixing_norm(features))))
        mixed = mixed * self.attention(mixed.mean(dim=(2, 3), keepdim=True))
        mixed_in: FeatureMaps = features + self.beta * self.mixing_project(mixed)
        gated = simple_gate(self.gating_expand(self.gating_norm(mixed_in)))
        gated_in: FeatureMaps = mixed_in + self.gamma * self.gating_project(gated)
        return gated_in

    def folded(self) -> nn.Module:
        """``FoldedNAFBlock``."""
        from restorekit.core.networks.folded_blocks import FoldedNAFBlock

        return FoldedNAFBlock(self)


def simple_gate(features: Float[Tensor, "batch doubled height width"]) -> FeatureMaps:
    """The product of the first and the second half of the channels (eq. 4): (batch, 2c, h, w) to (batch, c, h, w)."""
    first, second = features.chunk(2, dim=1)
    return first * second


def _stack(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(width) for _ in range(blocks)))
