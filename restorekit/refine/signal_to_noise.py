"""How much signal and how little noise a degraded image holds at each pixel, by a fixed rule.

Xu, Wang, Fu, Jia 2022, "SNR-Aware Low-Light Image Enhancement" (CVPR), eq. 1-2. Here only for one row of table 3, where
the map takes the place of the learned range map.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.core.networks.base import PlainImages
from restorekit.refine.shapes import Weights

__all__ = ["SNR_REACH_PX", "snr_map", "snr_ratio"]

SNR_REACH_PX = 2
"""Radius, in px, of what a pixel's ratio depends on."""

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
TINY = 1e-4  # keeps both divisions finite, as in the authors' code


def snr_ratio(images: PlainImages) -> Float[Tensor, "batch 1 height width"]:
    """Blurred luma over what the blur took away: at least 0, without unit, usually far above 1.

    The blur is a 5x5 box; images are (batch, 1 or 3, height, width) with at least 3 px on each side.

    Differs from the paper: no. It leaves the denoiser open; the box is the authors' code's.
    """
    luma = images if images.shape[1] == 1 else (images * images.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    side = 2 * SNR_REACH_PX + 1
    blurred = F.avg_pool2d(F.pad(luma, (SNR_REACH_PX,) * 4, mode="reflect"), side, stride=1)
    return blurred / ((luma - blurred).abs() + TINY)


def snr_map(images: PlainImages, peak: Float[Tensor, " batch"] | None = None) -> Weights:
    """The ratio in [0, 1], as a share of the image's largest, for every fourth pixel of every fourth row.

    Args:
        images: (batch, 1 or 3, height, width).
        peak: the largest ratio of each whole image; None: ``images`` are whole images.
    """
    ratio = snr_ratio(images)
    largest = torch.amax(ratio, dim=(1, 2, 3)) if peak is None else peak.to(ratio)
    return (ratio[:, :, ::4, ::4] / (largest[:, None, None, None] + TINY)).clamp(0, 1)
