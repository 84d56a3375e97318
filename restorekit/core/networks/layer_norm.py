"""Layer normalisation of images: each pixel's channels by themselves, so nothing leaks between pixels, images or tiles.

Ba, Kiros, Hinton 2016 (arXiv:1607.06450), over the channel axis only:
y = (x - mean) / sqrt(var + eps) * weight + bias.
"""

import torch
import torch.nn.functional as F
from torch import nn

from restorekit.core.networks.base import FeatureMaps

__all__ = ["BiasFreeLayerNorm2d", "LayerNorm2d", "normalised", "rescaled"]


class LayerNorm2d(nn.Module):
    """Normalise the channels of every pixel to mean 0 and variance 1, then scale and shift each channel.

    Args:
        channels: how many.
        eps: added to the variance; 1e-6 in NAFNet, 1e-5 in Restormer.

    Differs from the paper: no.
    """

    def __init__(self, channels: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``; no copy is made where the memory format is channels_last."""
        channels_last = features.permute(0, 2, 3, 1)
        normalised = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normalised.permute(0, 3, 1, 2)


class BiasFreeLayerNorm2d(nn.Module):
    """Divide the channels of every pixel by their standard deviation; the mean stays, nothing is added.

    Restormer (arXiv:2111.09881) with the bias-free form of Mohan et al. 2020 (arXiv:1906.05478):
    y = x / sqrt(var + eps) * weight. Scaling the input scales the output, so one network serves many noise levels.

    Args:
        channels: how many.
        eps: added to the variance.

    Differs from the paper: no. The variance is taken about the mean although the mean is not removed, as in the
    authors' code.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, features: FeatureMaps) -> FeatureMaps:
        """Same shape as ``features``."""
        return rescaled(features, self.eps) * self.weight.to(features)[:, None, None]


def normalised(features: FeatureMaps, eps: float) -> FeatureMaps:
    """``LayerNorm2d`` without weight and bias, for a convolution that has taken them over."""
    channels_last = features.permute(0, 2, 3, 1)
    return F.layer_norm(channels_last, channels_last.shape[3:], eps=eps).permute(0, 3, 1, 2)


def rescaled(features: FeatureMaps, eps: float) -> FeatureMaps:
    """``BiasFreeLayerNorm2d`` without weight, likewise."""
    variance = features.float().var(dim=1, keepdim=True, correction=0)
    return features * torch.rsqrt(variance + eps).to(features.dtype)
