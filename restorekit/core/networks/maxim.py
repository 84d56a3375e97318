"""MAXIM: a U-Net of gated multi-layer perceptrons that look through windows and grids, with gates for skips.

Tu, Talebi, Zhang, Yang, Milanfar, Bovik, Li 2022, "MAXIM: Multi-Axis MLP for Image Processing" (arXiv:2201.02973).
Written from the paper; the sizes are those of the authors' variant S-1, one stage supervised at full resolution only.

- Grids reach across the whole input: the result of a tile depends on everything in that tile.
- Height and width are multiples of 64 at the paper's sizes.
"""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps, NetworkConfig, PlainImages, Width
from restorekit.core.networks.maxim_blocks import MaximStack, maxim_bottleneck, pointwise
from restorekit.core.networks.maxim_gates import CrossGate, CrossGates, ScaleMix

__all__ = ["MaximConfig", "MaximGroups", "MaximNet", "MaximWindows", "check_maxim_width", "maxim_multiple", "pyramid"]

MaximWindows = Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=2, max_length=8)]
MaximGroups = Annotated[int, Field(ge=1, le=64)]


class MaximConfig(NetworkConfig):
    """One-stage MAXIM of any size; the defaults are the paper's MAXIM-1S (6.13 M)."""

    summary: ClassVar[str] = "MAXIM-1S (Tu et al. 2022): U-Net of gated MLPs over windows and grids."

    width: Width = 32
    """Channels at full resolution, a multiple of 4; doubled at each level. 32 in the paper."""
    windows: MaximWindows = (16, 16, 8, 8)
    """Side of windows and grids of each level, full resolution first; the last is for the bottleneck."""
    groups: MaximGroups = 2
    """Multi-axis MLPs of each level, each followed by channel attention."""
    middle_blocks: int = Field(default=2, ge=0, le=64)
    """Blocks at the lowest resolution, of ``groups`` groups each."""
    bias: bool = True
    """Whether layers have a bias; those of ``MaximStack`` and ``maxim_bottleneck`` that always do aside."""
    unused_parts: bool = False
    """Also make the gates and convolutions that the PyTorch port which ConStyle compares with makes and never calls:
    2,041,312 parameters without gradient. For comparing counts only."""
    channels: Width = 3
    """Colour planes of the image: 3 for RGB, 1 for gray."""

    @model_validator(mode="after")
    def _width_divides(self) -> "MaximConfig":
        check_maxim_width(self.width)
        return self

    def build(self) -> "MaximNet":
        """The network with fresh weights."""
        return MaximNet(self)

    @property
    def planes(self) -> tuple[int, int]:
        """As many planes as the image has."""
        return self.channels, self.channels

    @property
    def multiple_of(self) -> int:
        """Each level's height and width are multiples of its windows."""
        return maxim_multiple(self.windows)


class MaximNet(nn.Module):
    """Encoder that sees the downsized image at each level, bottleneck, cross gates, decoder, plus the input itself.

    Args:
        config: widths, depths and windows.

    Figure 2 of the paper. Differs from the paper: there is one output, at full resolution. The image is downsized by
    taking every second pixel, counted from the first.
    """

    def __init__(self, config: MaximConfig) -> None:
        super().__init__()
        bias, sizes = config.bias, config.windows[:-1]
        widths = [config.width * 2**level for level in range(len(sizes))]
        deepest = widths[-1]
        coarser = [*widths[1:], deepest]
        self.config = config
        self.stems = nn.ModuleList(nn.Conv2d(config.channels, width, 3, padding=1, bias=bias) for width in widths)
        self.fusions = nn.ModuleList(
            pointwise(finer + width, width, bias)
            for finer, width in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.encoder = _stacks(config, widths)
        self.downs = _strided(widths, bias)
        self.middle = maxim_bottleneck(deepest, config.windows[-1], config.groups, config.middle_blocks, bias=bias)
        self.gates = CrossGates(widths, widths, bottleneck=deepest, sizes=sizes, bias=bias)
        self.mixes = nn.ModuleList(ScaleMix(widths, width, bias=bias) for width in widths)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, stride=2, bias=bias)
            for below, width in zip(coarser, widths, strict=True)
        )
        self.merges = nn.ModuleList(pointwise((len(sizes) + 1) * width, width, bias) for width in widths)
        self.decoder = _stacks(config, widths)
        self.head = nn.Conv2d(config.width, config.channels, 3, padding=1, bias=bias)
        self.unused = nn.ModuleList()
        if config.unused_parts:
            both = [*zip(widths, sizes, strict=True)] * 2
            self.unused.extend(CrossGate(width, width, size, bias=bias) for width, size in both)
            self.unused.extend(_strided(widths, bias))

    def forward(self, images: PlainImages) -> PlainImages:
        """Restore images whose height and width are multiples of ``config.multiple_of``; same shape, unclamped."""
        stems = [stem(image) for stem, image in zip(self.stems, pyramid(images, len(self.stems)), strict=True)]
        features: FeatureMaps = stems[0]
        encoded = []
        for stem, fusion, blocks, down in zip(stems, self.fusions, self.encoder, self.downs, strict=True):
            encoded.append(blocks(fusion(torch.cat([features, stem], dim=1))))
            features = down(encoded[-1])
        features = self.middle(features)
        gated = self.gates(encoded, features)
        for level in reversed(range(len(gated))):
            skips = self.mixes[level](gated, *gated[level].shape[-2:])
            merged = self.merges[level](torch.cat([self.ups[level](features), skips], dim=1))
            features = self.decoder[level](merged)
        residual: PlainImages = self.head(features)
        return images + residual


def pyramid(images: PlainImages, levels: int) -> list[Tensor]:
    """The images, then every second pixel of them, then every fourth, and so on: those just past each cell's centre."""
    return [images[..., 2**level // 2 :: 2**level, 2**level // 2 :: 2**level] for level in range(levels)]


def maxim_multiple(windows: MaximWindows) -> int:
    """What height and width are multiples of, in px, for windows listed finest level first."""
    return math.lcm(*(size * 2**level for level, size in enumerate(windows)))


def check_maxim_width(width: int) -> None:
    """Raise ValueError unless channel attention can divide the width by four."""
    if width % 4:
        raise ValueError(f"width: expected a multiple of 4, got {width}")


def _stacks(config: MaximConfig, widths: list[int]) -> nn.ModuleList:
    return nn.ModuleList(
        MaximStack(width, size, config.groups, bias=config.bias)
        for width, size in zip(widths, config.windows[:-1], strict=True)
    )


def _strided(widths: list[int], bias: bool) -> nn.ModuleList:
    return nn.ModuleList(nn.Conv2d(width, width, 4, stride=2, padding=1, bias=bias) for width in widths)
