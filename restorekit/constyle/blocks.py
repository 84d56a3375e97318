"""The blocks that a conditioned U-Net can be made of, by name, and what else each asks of the U-Net around it.

- ``nafnet`` and ``restormer`` are the published blocks, unchanged. ``conv`` is the plain block of the authors' second
  repository.
- ``dense`` is ours: DenseUNet's block, the fastest here on CPUs, for small models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from restorekit.core.networks.base import FeatureMaps
from restorekit.core.networks.dense_unet import DenseBlock
from restorekit.core.networks.nafnet import NAFBlock
from restorekit.core.networks.restormer import RestormerBlock

__all__ = ["BLOCKS", "BlockKind", "BlockName", "ConvBlock", "leaky"]

BlockName = Literal["nafnet", "restormer", "conv", "dense"]
"""MAXIM is no entry: it has a U-Net of its own, ``constyle.maxim``."""

LEAKY_SLOPE = 0.1


@dataclass(frozen=True)
class BlockKind:
    """One kind of block."""

    make: Callable[[int, int], nn.Module]
    """(channels, heads) to a block that keeps its input's shape."""
    activation: Callable[[int], nn.Module]
    """Channels to what follows the projection of the encoder's maps."""
    reach_px: int | None
    """How far a block looks to each side, in px of its own resolution; None: everywhere."""
    activated_ends: bool = False
    """Whether first and last convolution are followed by ``activation``, the last being two."""
    eased_start: bool = False
    """Whether the first convolution sees 4 (x - 0.5) and the last starts at zero, so that training starts at once."""


class ConvBlock(nn.Module):
    """Twice a 3x3 convolution without bias and a PReLU, added to the input.

    Args:
        channels: width of the block.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.PReLU(channels),
        )

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        residual: FeatureMaps = self.layers(features)
        return features + residual


def leaky(channels: int) -> nn.Module:  # noqa: ARG001  (as for every activation)
    """LeakyReLU, as in the encoder."""
    return nn.LeakyReLU(LEAKY_SLOPE)


BLOCKS: dict[BlockName, BlockKind] = {
    "nafnet": BlockKind(lambda channels, _: NAFBlock(channels), leaky, reach_px=None),
    "restormer": BlockKind(lambda channels, heads: RestormerBlock(channels, heads=heads), nn.PReLU, reach_px=None),
    "conv": BlockKind(lambda channels, _: ConvBlock(channels), nn.PReLU, reach_px=2, activated_ends=True),
    "dense": BlockKind(lambda channels, _: DenseBlock(channels), leaky, reach_px=2, eased_start=True),
}
"""Name of the block -> how to make it."""
