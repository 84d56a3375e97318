"""The gates of MAXIM: encoder features of every scale and the bottleneck's result modulate each other.

Tu, Talebi, Zhang, Yang, Milanfar, Bovik, Li 2022, "MAXIM: Multi-Axis MLP for Image Processing" (arXiv:2201.02973),
section 3.3. Written from the paper.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps
from restorekit.core.networks.layer_norm import LayerNorm2d
from restorekit.core.networks.maxim_blocks import SpatialMixing, pointwise

__all__ = ["CrossGate", "CrossGates", "ScaleMix"]

Gated = Float[Tensor, "batch gated height width"]


class CrossGates(nn.Module):
    """What the encoder hands to the decoder: each scale sees all scales, and is gated by what the bottleneck found.

    From the coarsest scale to the finest, each gate hands the global signal on (figure 2, section 3.3).

    Args:
        sources: widths of the encoder's scales, finest first.
        widths: widths of the gated scales, finest first.
        bottleneck: width of the bottleneck's result.
        sizes: side of windows and grids of each scale, finest first.
        keep: as in ``ScaleMix``.
        bias: whether layers have a bias.

    Differs from the paper: no.
    """

    def __init__(
        self,
        sources: Sequence[int],
        widths: Sequence[int],
        *,
        bottleneck: int,
        sizes: Sequence[int],
        keep: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        coarser = [*widths[1:], bottleneck]
        self.mixes = nn.ModuleList(ScaleMix(sources, width, keep=keep, bias=bias) for width in widths)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, stride=2, bias=bias)
            for below, width in zip(coarser, widths, strict=True)
        )
        self.gates = nn.ModuleList(
            CrossGate(len(sources) * width, width, size, bias=bias) for width, size in zip(widths, sizes, strict=True)
        )

    def forward(self, encoded: Sequence[Tensor], bottleneck: FeatureMaps) -> list[Tensor]:
        """The gated scales, finest first, each as large as its scale of ``encoded``."""
        gated: list[Tensor] = []
        guide = bottleneck
        for level in reversed(range(len(encoded))):
            signal = self.mixes[level](encoded, *encoded[level].shape[-2:])
            skip, guide = self.gates[level](signal, self.ups[level](guide))
            gated.insert(0, skip)
        return gated


class CrossGate(nn.Module):
    """Two signals gate each other by weights that a spatial MLP makes of the other (figure 2d).

    Args:
        signal: width of the first signal.
        channels: width of the second signal and of both results.
        size: side of windows and grids.
        bias: whether layers have a bias.

    Differs from the paper: no; as in the authors' code, the gated guide is also added to the signal.
    """

    def __init__(self, signal: int, channels: int, size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.signal_input = pointwise(signal, channels, bias)
        self.guide_input = pointwise(channels, channels, bias)
        self.signal_weights = _SpatialWeights(channels, size, bias)
        self.guide_weights = _SpatialWeights(channels, size, bias)
        self.signal_output = pointwise(channels, channels, bias)
        self.guide_output = pointwise(channels, channels, bias)

    def forward(self, signal: Float[Tensor, "batch channels height width"], guide: Gated) -> tuple[Gated, Gated]:
        """The gated signal, and the gated guide for the next finer scale."""
        signal, guide = self.signal_input(signal), self.guide_input(guide)
        signal_features, signal_weights = self.signal_weights(signal)
        guide_features, guide_weights = self.guide_weights(guide)
        gated_guide: Gated = guide + self.guide_output(guide_features * signal_weights)
        gated_signal: Gated = self.signal_output(signal_features * guide_weights)
        return gated_signal + gated_guide + signal, gated_guide


class _SpatialWeights(nn.Module):
    """Normalised features of one signal, and the weights they lay on the other: half from a grid, half from windows."""

    def __init__(self, channels: int, size: int, bias: bool) -> None:
        super().__init__()
        self.input_norm = LayerNorm2d(channels)
        self.input = pointwise(channels, channels, bias)
        self.norm = LayerNorm2d(channels)
        self.expand = pointwise(channels, 2 * channels, bias)
        self.grid = SpatialMixing(size, grid=True, bias=bias)
        self.window = SpatialMixing(size, grid=False, bias=bias)
        self.project = pointwise(2 * channels, channels, bias)

    def forward(self, features: FeatureMaps) -> tuple[FeatureMaps, FeatureMaps]:
        features = F.gelu(self.input(self.input_norm(features)))
        first, second = F.gelu(self.expand(self.norm(features))).chunk(2, dim=1)
        return features, self.project(torch.cat([self.grid(first), self.window(second)], dim=1))


class ScaleMix(nn.Module):
    """Features of several scales, each resized to one scale and brought to one width, one after the other.

    Args:
        widths: of the sources.
        width: of each in the result.
        keep: sources that have this width already pass without a convolution.
        bias: whether the 1x1 convolutions have one.
    """

    def __init__(self, widths: Sequence[int], width: int, *, keep: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.reductions = nn.ModuleList(
            nn.Identity() if keep and source == width else nn.Conv2d(source, width, 1, bias=bias) for source in widths
        )

    def forward(self, sources: Sequence[Tensor], height: int, width: int) -> FeatureMaps:
        """(batch, sources x width, height, width); bilinear, antialiased."""
        resized = [_resized(source, height, width) for source in sources]
        return torch.cat([reduce(item) for reduce, item in zip(self.reductions, resized, strict=True)], dim=1)


def _resized(features: Tensor, height: int, width: int) -> Tensor:
    """At least in float32: antialiasing knows no bfloat16 on CPUs."""
    if features.shape[-2:] == (height, width):
        return features
    precise = features.to(torch.promote_types(features.dtype, torch.float32))
    resized = F.interpolate(precise, size=(height, width), mode="bilinear", antialias=True)
    return resized.to(features.dtype)
