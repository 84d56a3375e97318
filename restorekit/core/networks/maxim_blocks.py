"""The blocks of MAXIM: gated MLPs over windows and over grids, then channel attention.

Tu, Talebi, Zhang, Yang, Milanfar, Bovik, Li 2022, "MAXIM: Multi-Axis MLP for Image Processing" (arXiv:2201.02973).
Written from the paper.

- A dense layer over positions fixes the size of its window or grid, so height and width must be multiples of it.
- Grids reach across the whole input: the result of a tile depends on everything in that tile.
- GELU is exact; the authors' code uses its tanh approximation.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps
from restorekit.core.networks.layer_norm import LayerNorm2d

__all__ = ["MaximStack", "SpatialMixing", "maxim_bottleneck", "pointwise"]


class MaximStack(nn.Module):
    """Groups of one multi-axis MLP and one channel attention block, with a skip over all of them (figure 2b).

    Args:
        channels: a multiple of 4.
        size: side of windows and of grids.
        groups: how many.
        local: channel attention over two 3x3 convolutions, as in encoder and decoder; False: over two dense layers,
            as in the bottleneck.
        bias: whether layers have a bias; the MLPs' positions and the convolutions' channel attention always do.

    Differs from the paper: no.
    """

    def __init__(self, channels: int, size: int, groups: int, *, local: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.groups = nn.Sequential()
        for _ in range(groups):
            self.groups.append(_MultiAxisMlp(channels, size, bias=bias))
            self.groups.append(_AttendedConvolutions(channels, bias) if local else _AttendedMlp(channels, bias))

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``, whose height and width are multiples of ``size``."""
        grouped: FeatureMaps = self.groups(features)
        return features + grouped


def maxim_bottleneck(channels: int, size: int, groups: int, blocks: int, *, bias: bool = True) -> nn.Sequential:
    """The lowest resolution: ``blocks`` times a dense layer, which always has a bias, and a ``MaximStack``."""
    layers = nn.Sequential()
    for _ in range(blocks):
        layers.append(pointwise(channels, channels, bias=True))
        layers.append(MaximStack(channels, size, groups, local=False, bias=bias))
    return layers


class SpatialMixing(nn.Module):
    """One dense layer over positions, the same for every channel: inside windows, or across them (figure 3).

    Args:
        size: a window is ``size`` x ``size`` px; a grid has ``size`` x ``size`` cells.
        grid: False mixes the positions of each window. True mixes the pixels that lie at the same place of each cell,
            so each output looks at the whole input, dilated.
        bias: one number per position.

    Differs from the paper: no.
    """

    def __init__(self, size: int, *, grid: bool, bias: bool = True) -> None:
        super().__init__()
        self.size = size
        self.grid = grid
        self.dense = nn.Linear(size**2, size**2, bias=bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``, whose height and width are multiples of ``size``."""
        batch, channels, height, width = features.shape
        rows, columns = height // self.size, width // self.size
        if self.grid:
            cut = features.reshape(batch, channels, self.size, rows, self.size, columns)
            mixed = self._mix(cut.permute(0, 1, 3, 5, 2, 4)).permute(0, 1, 4, 2, 5, 3)
        else:
            cut = features.reshape(batch, channels, rows, self.size, columns, self.size)
            mixed = self._mix(cut.permute(0, 1, 2, 4, 3, 5)).permute(0, 1, 2, 4, 3, 5)
        return mixed.reshape(batch, channels, height, width)

    def _mix(
        self, positions: Float[Tensor, "batch channels rows columns size size"]
    ) -> Float[Tensor, "batch channels rows columns size size"]:
        mixed: Tensor = self.dense(positions.flatten(4))
        return mixed.reshape(positions.shape)


class _MultiAxisMlp(nn.Module):
    """Half of the channels through a gated MLP over a grid, half over windows (figure 2c), added to the input."""

    def __init__(self, channels: int, size: int, *, bias: bool) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.expand = pointwise(channels, 2 * channels, bias)
        self.grid = _GatedMlp(channels, size, grid=True, bias=bias)
        self.window = _GatedMlp(channels, size, grid=False, bias=bias)
        self.project = pointwise(2 * channels, channels, bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        first, second = F.gelu(self.expand(self.norm(features))).chunk(2, dim=1)
        return features + self.project(torch.cat([self.grid(first), self.window(second)], dim=1))  # type: ignore[no-any-return]


class _GatedMlp(nn.Module):
    """A gated MLP (Liu et al. 2021, arXiv:2105.08050): one half of the hidden channels, mixed over positions, gates."""

    def __init__(self, channels: int, size: int, *, grid: bool, bias: bool) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.expand = pointwise(channels, 2 * channels, bias)
        self.gate_norm = LayerNorm2d(channels)
        self.gate = SpatialMixing(size, grid=grid)
        self.project = pointwise(channels, channels, bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        content, gate = F.gelu(self.expand(self.norm(features))).chunk(2, dim=1)
        return features + self.project(content * (self.gate(self.gate_norm(gate)) + 1))  # type: ignore[no-any-return]


class _AttendedConvolutions(nn.Module):
    """Norm, two 3x3 convolutions, channel attention, added to the input (Zhang et al. 2018, arXiv:1807.02758)."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.attention = _PooledAttention(channels)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        convolved = self.second(F.leaky_relu(self.first(self.norm(features)), 0.2))
        return features + self.attention(convolved)  # type: ignore[no-any-return]


class _AttendedMlp(nn.Module):
    """Norm, two dense layers over channels, channel attention, added to the input."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.first = pointwise(channels, channels, bias)
        self.second = pointwise(channels, channels, bias)
        self.attention = _PooledAttention(channels, bias=bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        return features + self.attention(self.second(F.gelu(self.first(self.norm(features)))))  # type: ignore[no-any-return]


class _PooledAttention(nn.Module):
    """Each channel times a weight in (0, 1) that two dense layers make of the means of all channels."""

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.reduce = pointwise(channels, channels // 4, bias)
        self.expand = pointwise(channels // 4, channels, bias)

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        pooled = features.mean(dim=(2, 3), keepdim=True)
        return features * torch.sigmoid(self.expand(F.relu(self.reduce(pooled))))


def pointwise(inputs: int, outputs: int, bias: bool) -> nn.Conv2d:
    """A dense layer over the channels of each pixel."""
    return nn.Conv2d(inputs, outputs, 1, bias=bias)
