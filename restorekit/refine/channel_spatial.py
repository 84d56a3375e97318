"""PTG-CSA, pre-train-guided channel-spatial attention: which channels, and which pixels, should the decoder believe?

Xu et al. 2024 (arXiv:2403.06793), section 3.3. The spatial weights come from filtering the features with a kernel of
its own at each pixel, made of features, prior and position: 67 % of the module's work in the plain form.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.restorer import Window
from restorekit.refine.config import SLOPE, RefinementConfig
from restorekit.refine.dynamic_filter import TAPS, apply_kernels, frame
from restorekit.refine.guided_convolution import GuidedConv2d, PriorMapping, guide_width, spread
from restorekit.refine.shapes import Features, Guide, PositionMap, PreparedPrior, Weights
from restorekit.refine.strips import strips

__all__ = ["ChannelSpatialAttention", "ChannelWeights", "SpatialWeights"]

Pooled = Float[Tensor, "batch channels"]


class ChannelSpatialAttention(nn.Module):
    """Eq. 4-7: f_bar = R_f(M_c f_hat, M_s f_hat) + f_hat, with weights M_c per channel and M_s per pixel.

    Neither product is ever made: R_f is linear and pointwise, so its left half takes M_c into its weights, and its
    right half is applied before M_s.

    Args:
        config: which of the two attentions there are; at least one.

    Differs from the paper: f_hat is added, as in the authors' code; eq. 7 has R_f alone.
    """

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        kinds = config.channel_attention + config.spatial_attention
        self.mapping = PriorMapping.of(config)
        self.channel = ChannelWeights(config) if config.channel_attention else None
        self.spatial = SpatialWeights(config) if config.spatial_attention else None
        self.fuse = nn.Conv2d(kinds * config.width, config.width, 1, bias=False)

    def forward(
        self, features: Features, prior: PreparedPrior | None, window: Window, pooled: Pooled | None = None
    ) -> Features:
        """Attend to the features of a window.

        Args:
            features: f_hat, (batch, channels, rows, columns).
            prior: g; None where it is not used.
            window: what part of the whole image the features are, in feature pixels.
            pooled: means of the whole image's features; None: the features are the whole image's.

        Returns:
            f_bar, same shape as ``features``.
        """
        guide = None if self.mapping is None else self.mapping(prior)
        halves = list(torch.split(self.fuse.weight[:, :, 0, 0], features.shape[1], dim=1))
        fused = features
        if self.channel is not None:
            means = features.mean(dim=(2, 3)) if pooled is None else pooled.to(features.dtype)
            own = halves.pop(0) * self.channel(means, guide)[:, None]
            fused = fused + (own @ features.flatten(2)).reshape(features.shape)
        if self.spatial is not None:
            fused = torch.addcmul(
                fused, F.conv2d(features, halves.pop()[:, :, None, None]), self.spatial(features, guide, window)
            )
        return fused


class ChannelWeights(nn.Module):
    """Eq. 4: M_c = R_c(mean of f_hat, T_c(g)), one weight in [0, 1] for each channel of each image.

    Args:
        config: width, and whether there is a prior.

    Differs from the paper: no.
    """

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        self.squeeze = nn.Linear(config.width + guide_width(config), config.width, bias=False)
        self.excite = nn.Linear(config.width, config.width, bias=False)

    def forward(self, pooled: Pooled, guide: Guide | None) -> Pooled:
        """(batch, channels); of a guide that is a map the mean is used."""
        if guide is not None:
            pooled = torch.cat([pooled, guide.flatten(2).mean(2) if guide.ndim == 4 else guide], dim=1)
        return torch.sigmoid(self.excite(F.leaky_relu_(self.squeeze(pooled), SLOPE)))


class SpatialWeights(nn.Module):
    """Eq. 5-6: kernels C_p = R_p(f_hat, T_c(g), S_c), then M_s = R_o(f_hat * C_p), one weight in [0, 1] per pixel.

    Args:
        config: whether prior and position are used, and how.

    Differs from the paper: no; the activation before R_o's convolution is the authors' code's.
    """

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        width, position, weights = config.width, config.width if config.position else 0, TAPS * config.width
        self.guided = GuidedConv2d(width, guide_width(config), position, weights)
        self.kernels = nn.Conv2d(weights, weights, 3, padding=1, bias=False)
        self.score = nn.Conv2d(width, 1, 3, padding=1, bias=False)

    def forward(self, features: Features, guide: Guide | None, window: Window) -> Weights:
        """The weights of a window, (batch, 1, rows, columns)."""
        guide = None if guide is None else spread(guide, window)
        filtered = self._at_once if torch.is_grad_enabled() else self._in_strips
        hidden = filtered(features, guide, self.guided.position(window))
        return torch.sigmoid(self.score(F.leaky_relu_(hidden, SLOPE)))

    def _at_once(self, features: Features, guide: Guide | None, position: PositionMap | None) -> Features:
        hidden = F.leaky_relu_(self.guided(features, guide, position), SLOPE)
        return apply_kernels(frame(features), self.kernels(hidden))

    def _in_strips(self, features: Features, guide: Guide | None, position: PositionMap | None) -> Features:
        """The same with a few rows of the kernels at a time; every row of them is computed once."""
        height, width = features.shape[2:]
        framed, filtered = frame(features), torch.empty_like(features)
        for strip in strips(height, width, halo=2, device=features.device):
            near = guide if guide is None or guide.ndim == 2 else strip.outer(guide)
            hidden = self.guided(strip.outer(features), near, None if position is None else strip.outer(position))
            first, last = max(strip.start - 1, 0) - strip.low, min(strip.stop + 1, height) - strip.low
            hidden = F.leaky_relu_(hidden[:, :, first:last], SLOPE)
            edges = (0, 0, int(strip.start == 0), int(strip.stop == height))
            kernels = F.conv2d(F.pad(hidden, edges) if any(edges) else hidden, self.kernels.weight, padding=(0, 1))
            filtered[:, :, strip.rows()] = apply_kernels(framed[:, :, strip.start : strip.stop + 2], kernels)
        return filtered
