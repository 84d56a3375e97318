"""Parts of a small diffusion network: the timestep's code, blocks that heed it, attention within windows.

Every part starts as if it were not there: blocks ignore the timestep, attention adds nothing.
"""

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps
from restorekit.core.networks.dense_unet import DenseBlock
from restorekit.core.networks.layer_norm import LayerNorm2d
from restorekit.priors.preconditioning import Timesteps

__all__ = ["TimedBlock", "TimedLevel", "TimestepCode", "WindowAttention", "window_borders", "zeroed"]

FREQUENCIES = 32
"""Of the timestep's sines and cosines: from 1 radian a step down to nearly 1/10000, as in Ho et al. 2020."""

Code = Float[Tensor, "batch code"]
"""What the blocks are told of the timestep."""

Layer = TypeVar("Layer", bound=nn.Module)


class TimestepCode(nn.Module):
    """Sines and cosines of the timestep, then two layers.

    Args:
        dim: length of the code.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * FREQUENCIES, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, timestep: Timesteps) -> Code:
        """One code for each timestep."""
        powers = torch.arange(FREQUENCIES, device=timestep.device) / FREQUENCIES
        angles = timestep[:, None] * torch.exp(-math.log(1e4) * powers)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        return F.silu(self.out(F.silu(self.hidden(waves.to(self.hidden.weight.dtype)))))


class TimedBlock(nn.Module):
    """A ``DenseBlock`` whose hidden channels are scaled and shifted as the timestep's code says.

    Args:
        channels: width of the block.
        code_dim: length of the code.
    """

    def __init__(self, channels: int, code_dim: int) -> None:
        super().__init__()
        self.block = DenseBlock(channels)
        self.film = zeroed(nn.Linear(code_dim, 2 * channels))

    def forward(self, features: FeatureMaps, code: Code) -> FeatureMaps:
        """Same shape as ``features``."""
        scale, shift = self.film(code)[..., None, None].chunk(2, dim=1)
        hidden = torch.addcmul(shift, self.block.first(features), 1.0 + scale)
        residual: FeatureMaps = self.block.second(F.relu(hidden, inplace=True))
        return residual.add_(features)


class TimedLevel(nn.ModuleList):
    """Blocks one after the other.

    Args:
        channels, code_dim: of ``TimedBlock``.
        blocks: how many.
    """

    def __init__(self, channels: int, blocks: int, code_dim: int) -> None:
        super().__init__(TimedBlock(channels, code_dim) for _ in range(blocks))

    def forward(self, features: FeatureMaps, code: Code) -> FeatureMaps:
        """Same shape as ``features``."""
        for block in self:
            features = block(features, code)
        return features


class WindowAttention(nn.Module):
    """Self-attention by content within windows of nearly equal size, added to the input.

    A grid of at most ``window`` places a side is one window. In shifted layers the windows of larger grids lie half a
    window further, so that two layers carry content across every border.

    Args:
        channels: of the features.
        head_channels: a divisor of ``channels``.
        window: side of the largest window, in places.
        shifted: see above.
    """

    def __init__(self, channels: int, *, head_channels: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.window = window
        self.shifted = shifted
        self.norm = LayerNorm2d(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        qkv: FeatureMaps = self.qkv(self.norm(features))
        rows, columns = (window_borders(side, self.window, shifted=self.shifted) for side in qkv.shape[2:])
        bands = [
            torch.cat([self._attend(window) for window in band.tensor_split(columns, dim=3)], dim=3)
            for band in qkv.tensor_split(rows, dim=2)
        ]
        added: FeatureMaps = self.out(torch.cat(bands, dim=2))
        return features + added

    def _attend(self, qkv: FeatureMaps) -> Float[Tensor, "batch attended height width"]:
        batch, channels, rows, columns = qkv.shape
        parts = qkv.reshape(batch, 3, self.heads, -1, rows * columns).transpose(3, 4)
        query, key, value = parts.unbind(dim=1)
        attended = F.scaled_dot_product_attention(query, key, value)
        return attended.transpose(2, 3).reshape(batch, channels // 3, rows, columns)


def window_borders(side: int, window: int, *, shifted: bool) -> list[int]:
    """Where a side is cut into as few pieces as ``window`` allows, about equally long.

    Shifted, the borders are in the middles of those pieces; the first and last piece are then half as long.

    >>> [window_borders(40, 16, shifted=shifted) for shifted in (False, True)]
    [[13, 27], [7, 20, 33]]
    >>> [window_borders(16, 16, shifted=shifted) for shifted in (False, True)]
    [[], []]
    """
    count = math.ceil(side / window)
    if count == 1:
        return []
    if shifted:
        return [round((index + 0.5) * side / count) for index in range(count)]
    return [round(index * side / count) for index in range(1, count)]


def zeroed(layer: Layer) -> Layer:
    """The layer with every weight 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
