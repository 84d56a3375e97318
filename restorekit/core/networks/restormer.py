"""Restormer: a transformer whose attention runs across channels, so its cost grows linearly with the image.

Zamir, Arora, Khan, Hayat, Khan, Yang 2022, "Restormer: Efficient Transformer for High-Resolution Image Restoration"
(arXiv:2111.09881). Written from the paper.

- Attention sums over the whole input, so the result of a tile depends on everything in that tile.
- Dual-pixel deblurring takes six planes (left and right view) and gives three; it has no image to add its result to.
"""

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps, NetworkConfig, PlainImages, Width
from restorekit.core.networks.layer_norm import BiasFreeLayerNorm2d, LayerNorm2d

__all__ = [
    "ChannelAttention",
    "GatedFeedForward",
    "NormKind",
    "Restormer",
    "RestormerBlock",
    "RestormerConfig",
]

NormKind = Literal["with_bias", "bias_free"]

Levels = Annotated[tuple[Annotated[int, Field(ge=1, le=256)], ...], Field(min_length=2, max_length=8)]


class RestormerConfig(NetworkConfig):
    """Restormer of any size; the defaults are the paper's network (26.13 M). Gaussian denoising: norm bias_free."""

    summary: ClassVar[str] = "Restormer (Zamir et al. 2022): transformer with attention across channels."

    width: Width = 48
    """Channels at full resolution; doubled at each level. 48 in the paper."""
    blocks: Levels = (4, 6, 6, 8)
    """Transformer blocks of each level, full resolution first; decoder levels mirror the encoder's."""
    refinement_blocks: int = Field(default=4, ge=0, le=256)
    """Blocks at full resolution after the decoder."""
    heads: Levels = (1, 2, 4, 8)
    """Attention heads of each level; each divides its level's width."""
    expansion: float = Field(default=2.66, gt=0, le=16)
    """Hidden width of the feed-forward part, relative to the level's width."""
    norm: NormKind = "with_bias"
    """with_bias for deraining, deblurring and real noise; bias_free for Gaussian denoising."""
    bias: bool = False
    """Whether convolutions have a bias; none in the paper. The first one and those that change the size never do."""
    in_channels: Width = 3
    """Planes taken: 3 for RGB, 1 for gray, 6 for dual-pixel pairs."""
    out_channels: Width = 3
    """Planes given."""
    dual_pixel: bool = False
    """Dual-pixel network: the first features, not the input image, are added to the result."""

    @model_validator(mode="after")
    def _parts_agree(self) -> "RestormerConfig":
        if len(self.blocks) != len(self.heads):
            raise ValueError(
                f"blocks and heads: expected as many levels in both, got {len(self.blocks)} and {len(self.heads)}"
            )
        widths = [self.width * 2**level for level in range(len(self.heads))]
        if any(width % heads for width, heads in zip(widths, self.heads, strict=True)) or self.width % 2:
            raise ValueError(f"heads: expected divisors of the widths {widths}, all even, got {list(self.heads)}")
        if int(self.width * self.expansion) < 1:
            raise ValueError(f"expansion: expected at least one hidden channel, got {self.expansion} of {self.width}")
        if self.in_channels != self.out_channels and not self.dual_pixel:
            raise ValueError(
                f"in_channels and out_channels: expected the same number unless dual_pixel, "
                f"got {self.in_channels} and {self.out_channels}"
            )
        return self

    def build(self) -> "Restormer":
        """The network with fresh weights."""
        return Restormer(self)

    @property
    def planes(self) -> tuple[int, int]:
        """Planes taken and given."""
        return self.in_channels, self.out_channels

    @property
    def multiple_of(self) -> int:
        """Each level below the first halves height and width."""
        return int(2 ** (len(self.blocks) - 1))


class Restormer(nn.Module):
    """The network of figure 2: encoder, latent, decoder with concatenated skips, refinement, plus the input itself.

    Args:
        config: widths, depths and kind of normalisation.

    Differs from the paper: no.
    """

    def __init__(self, config: RestormerConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(len(config.blocks))]
        levels = list(zip(widths, config.blocks, config.heads, strict=True))
        final = 2 * config.width  # at full resolution the skip is concatenated and stays so
        self.config = config
        self.stem = nn.Conv2d(config.in_channels, config.width, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(_stack(config, *level) for level in levels[:-1])
        self.downs = nn.ModuleList(_down(width) for width in widths[:-1])
        self.latent = _stack(config, *levels[-1])
        self.ups = nn.ModuleList(_up(width) for width in widths[1:])
        self.merges = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=config.bias) for width in widths[1:-1])
        self.decoder = nn.ModuleList(
            _stack(config, width if level else final, blocks, heads)
            for level, (width, blocks, heads) in enumerate(levels[:-1])
        )
        self.refinement = _stack(config, final, config.refinement_blocks, config.heads[0])
        self.skip = nn.Conv2d(config.width, final, 1, bias=config.bias) if config.dual_pixel else None
        self.head = nn.Conv2d(final, config.out_channels, 3, padding=1, bias=config.bias)

    def forward(self, images: PlainImages) -> Float[Tensor, "batch planes_out height width"]:
        """Restore images whose height and width are multiples of ``config.multiple_of``; same size, unclamped."""
        first: FeatureMaps = self.stem(images)
        features, skips = first, []
        for blocks, down in zip(self.encoder, self.downs, strict=True):
            skips.append(blocks(features))
            features = down(skips[-1])
        features = self.latent(features)
        for level in reversed(range(len(skips))):
            features = torch.cat([self.ups[level](features), skips.pop()], dim=1)
            if level:
                features = self.merges[level - 1](features)
            features = self.decoder[level](features)
        features = self.refinement(features)
        if self.skip is not None:
            features = features + self.skip(first)
        result: Tensor = self.head(features)
        return result if self.config.dual_pixel else images + result


class RestormerBlock(nn.Module):
    """Attention across channels, then a gated feed-forward part; each behind a norm and added to its input.

    Args:
        channels: width of the block.
        heads: divides ``channels``.
        expansion: hidden width of the feed-forward part, relative to ``channels``.
        norm: with or without mean and bias.
        bias: whether convolutions have a bias.

    Differs from the paper: no.
    """

    def __init__(
        self, channels: int, *, heads: int, expansion: float = 2.66, norm: NormKind = "with_bias", bias: bool = False
    ) -> None:
        super().__init__()
        self.attention_norm = _norm(norm, channels)
        self.attention = ChannelAttention(channels, heads=heads, bias=bias)
        self.feedforward_norm = _norm(norm, channels)
        self.feedforward = GatedFeedForward(channels, hidden=int(channels * expansion), bias=bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        attended: FeatureMaps = features + self.attention(self.attention_norm(features))
        fed: FeatureMaps = self.feedforward(self.feedforward_norm(attended))
        return attended + fed

    def folded(self) -> nn.Module:
        """``FoldedRestormerBlock``."""
        from restorekit.core.networks.folded_blocks import FoldedRestormerBlock

        return FoldedRestormerBlock(self)


class ChannelAttention(nn.Module):
    """Multi-Dconv head transposed attention (MDTA, eq. 1): each channel attends to the other channels of its head.

    Query and key are scaled to unit length over all pixels; the softmax runs over (channels x channels) per head, so
    memory and time are linear in the number of pixels.

    Args:
        channels: width.
        heads: divides ``channels``.
        bias: whether convolutions have a bias.

    Differs from the paper: no. The learned temperature multiplies, as in the authors' code; eq. 1 divides.
    """

    def __init__(self, channels: int, *, heads: int, bias: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.expand = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        batch, channels, height, width = features.shape
        mixed = self.depthwise(self.expand(features))
        split = mixed.reshape(batch, 3, self.heads, channels // self.heads, height * width)
        query, key, value = split.unbind(dim=1)
        similarity = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1)
        attended = torch.softmax(similarity * self.temperature, dim=-1) @ value
        return self.project(attended.reshape(batch, channels, height, width))  # type: ignore[no-any-return]


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network (GDFN, eq. 2): one half of the hidden features gates the other through GELU.

    Args:
        channels: width.
        hidden: width of each half.
        bias: whether convolutions have a bias.

    Differs from the paper: no.
    """

    def __init__(self, channels: int, *, hidden: int, bias: bool = False) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        gate, content = self.depthwise(self.expand(features)).chunk(2, dim=1)
        return self.project(F.gelu(gate) * content)  # type: ignore[no-any-return]


def _stack(config: RestormerConfig, channels: int, blocks: int, heads: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            RestormerBlock(channels, heads=heads, expansion=config.expansion, norm=config.norm, bias=config.bias)
            for _ in range(blocks)
        )
    )


def _norm(kind: NormKind, channels: int) -> nn.Module:
    return LayerNorm2d(channels, eps=1e-5) if kind == "with_bias" else BiasFreeLayerNorm2d(channels, eps=1e-5)


def _down(channels: int) -> nn.Sequential:
    """Half the size, twice the channels; without bias whatever the configuration says, as in the paper."""
    return nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def _up(channels: int) -> nn.Sequential:
    """Twice the size, half the channels."""
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))
