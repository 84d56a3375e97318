"""The two local comparisons inside SSIM, averaged over an image.

Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity".

- Written with s = x + y and d = x - y: the comparison of means is 1 - mu_d^2 / ((mu_s^2 + mu_d^2) / 2 + C1), that of
  contrast and structure 1 - var_d / ((var_s + var_d) / 2 + C2). Algebraically the paper's terms, but four filters
  instead of five, and float32 is enough: rounding errors are scaled by how much the images differ.
- Variances do not change when a constant is subtracted, so each channel's mean is subtracted before squaring.
- An image is filtered in strips of rows, so memory does not grow with its height.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.core.metric.preparation import PEAK, Levels, accumulator

__all__ = ["WINDOWS", "Window", "mean_structure"]

ChannelMeans = Float[Tensor, "batch channels"]

C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2
STRIP_PIXELS = 50_000  # fastest of 12_000 to 400_000 on a CPU, for 0.4 and for 24 megapixels


@dataclass(frozen=True)
class Window:
    """The neighbourhood over which local means and variances are taken."""

    size_px: int
    sigma_px: float | None
    """Standard deviation of the Gaussian weights; None: equal weights."""
    padded: bool = False
    """Whether the image is continued by reflection, so that its border counts too."""
    covariance_scale: float = 1.0
    """n / (n - 1) where variances are sample estimates."""

    def weights(self, like: Tensor) -> Float[Tensor, "taps"]:
        """The one-dimensional weights, summing to 1, on the device and of the type of ``like``."""
        offsets = torch.arange(self.size_px, dtype=torch.float64) - self.size_px // 2
        weights = torch.ones_like(offsets) if self.sigma_px is None else (-0.5 * (offsets / self.sigma_px) ** 2).exp()
        return (weights / weights.sum()).to(device=like.device, dtype=like.dtype)


WINDOWS = {
    "gauss11": Window(11, 1.5),
    "uniform7": Window(7, None, covariance_scale=49 / 48),
    "gauss11-same": Window(11, 1.5, padded=True),
}


def mean_structure(first: Levels, second: Levels, window: Window) -> tuple[ChannelMeans, ChannelMeans]:
    """Mean SSIM, and mean of its contrast-structure term alone, for every image and channel.

    Args:
        first: (batch, channels, height, width) in [0, 255].
        second: the same shape; the result is symmetric.
        window: its size is at most the image's sides (half its size, if padded).

    Returns:
        Two (batch, channels) tensors without unit, at most 1.

    Differs from the paper: the paper has one channel; C1 and C2 as there, (0.01 L)^2 and (0.03 L)^2 with L = 255.
    """
    if window.padded:
        margin = [window.size_px // 2] * 4
        first, second = (F.pad(levels, margin, mode="reflect") for levels in (first, second))
    means = (first.mean(dim=(2, 3), keepdim=True), second.mean(dim=(2, 3), keepdim=True))
    centres = torch.cat([means[0] + means[1], means[0] - means[1]], dim=1)
    weights = window.weights(first)
    rows, columns = (side - window.size_px + 1 for side in first.shape[2:])
    height = max(STRIP_PIXELS // columns, window.size_px)
    sums = []
    for top in range(0, rows, height):
        strip = slice(top, min(top + height, rows) + window.size_px - 1)
        local = _filter(_centred_powers(first[:, :, strip], second[:, :, strip], centres), weights)
        sums.append(_strip_sums(local, centres, window.covariance_scale))
    similarity, contrast = torch.stack(sums).sum(dim=0) / (rows * columns)
    return similarity, contrast


def _centred_powers(first: Tensor, second: Tensor, centres: Tensor) -> Tensor:
    """(batch, 4 channels, rows, columns): s and d less their centres, then the squares of both."""
    total, difference = centres.chunk(2, dim=1)
    values = [first + second - total, first - second - difference]
    return torch.cat([*values, *(value.square() for value in values)], dim=1)


def _strip_sums(local: Tensor, centres: Tensor, covariance_scale: float) -> Tensor:
    """Sums over one strip of (SSIM, contrast-structure): (2, batch, channels), of means of ``_centred_powers``."""
    means, squares = local.chunk(2, dim=1)
    contrast = _comparison(torch.addcmul(squares, means, means, value=-1) * covariance_scale, C2)
    similarity = _comparison((means + centres).square(), C1) * contrast
    return torch.stack([term.sum(dim=3).sum(dim=2, dtype=accumulator(term)) for term in (similarity, contrast)])


def _comparison(terms: Tensor, constant: float) -> Tensor:
    """1 - d / ((s + d) / 2 + C) of the terms s and d, side by side."""
    total, difference = terms.chunk(2, dim=1)
    return torch.addcdiv(terms.new_ones(()), difference, (total + difference).add_(2 * constant), value=-2)


def _filter(values: Tensor, weights: Tensor) -> Tensor:
    """Separable weighted means where the window fits; channels last is three times faster on a CPU, but only here."""
    channels, taps = values.shape[1], weights.numel()
    across = weights.view(1, 1, 1, taps).expand(channels, 1, 1, taps)
    down = weights.view(1, 1, taps, 1).expand(channels, 1, taps, 1)
    values = values.contiguous(memory_format=torch.channels_last)
    return F.conv2d(F.conv2d(values, across, groups=channels), down, groups=channels).contiguous()
