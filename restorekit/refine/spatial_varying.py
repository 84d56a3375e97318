"""PTG-SVE, pre-train-guided spatial-varying enhancement: at each pixel, how far should the module look?

Xu et al. 2024 (arXiv:2403.06793), section 3.2. A range map, made of features, prior and position, fuses the results of
a long-range branch (transformer) and of a short-range one (two convolutions).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from restorekit.core.restorer import Window
from restorekit.refine.config import SLOPE, RefinementConfig
from restorekit.refine.guided_convolution import GuidedConv2d, PriorMapping, guide_width, spread
from restorekit.refine.long_range import AttentionMatrix, LongRange
from restorekit.refine.shapes import Features, PreparedPrior, Weights

__all__ = ["RangeMap", "ShortRange", "SpatialVaryingEnhancement"]


class SpatialVaryingEnhancement(nn.Module):
    """Eq. 3: f_hat = M f_l + (1 - M) f_s, with f_l from the long-range and f_s from the short-range branch.

    Args:
        config: ``fusion`` says where M comes from, or that the branches are added up.

    Differs from the paper: M weighs the long range as in the authors' code, not the short range; negating the weights
    of the map's last layer changes one into the other.
    """

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        self.long = LongRange(config.width)
        self.short = ShortRange(config.width)
        self.range_map = RangeMap(config) if config.fusion == "range_map" else None

    def forward(
        self,
        features: Features,
        prior: PreparedPrior | None,
        window: Window,
        *,
        snr: Weights | None = None,
        attention: Sequence[AttentionMatrix] | None = None,
    ) -> Features:
        """Enhance the features of a window.

        Args:
            features: f, (batch, channels, rows, columns).
            prior: g; None where the range map does not use one.
            window: what part of the whole image the features are, in feature pixels.
            snr: signal-to-noise map in [0, 1], weight of the short range; used where there is no range map.
            attention: the whole image's matrices; None: the features are the whole image's.

        Returns:
            f_hat, same shape as ``features``.
        """
        long, short = self.long(features, attention), self.short(features)
        if self.range_map is not None:
            return torch.lerp(short, long, self.range_map(features, prior, window))
        return long + short if snr is None else torch.lerp(long, short, snr)


class ShortRange(nn.Module):
    """R_s: one residual block, 3x3 convolution, ReLU, 3x3 convolution, added to the input.

    Args:
        channels: width.

    Differs from the paper: no; it names a ResNet, one block is the authors' code's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Features) -> Features:
        """Same shape as ``features``."""
        change: Features = self.second(F.relu_(self.first(features)))
        return features + change


class RangeMap(nn.Module):
    """Eq. 2: M = R_m(f, T_m(g), S_m), between 0 (short range) and 1 (long range) at each pixel. A forward hook sees it.

    Args:
        config: whether prior and position are used, and how.

    Differs from the paper: see ``SpatialVaryingEnhancement``.
    """

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        width, position = config.width, config.width if config.position else 0
        self.mapping = PriorMapping.of(config)
        self.guided = GuidedConv2d(width, guide_width(config), position, width)
        self.score = nn.Conv2d(width, 1, 3, padding=1, bias=False)

    def forward(self, features: Features, prior: PreparedPrior | None, window: Window) -> Weights:
        """The map of a window, (batch, 1, rows, columns), in [0, 1]."""
        guide = None if self.mapping is None else spread(self.mapping(prior), window)
        hidden = self.guided(features, guide, self.guided.position(window))
        return torch.sigmoid(self.score(F.leaky_relu_(hidden, SLOPE)))
