"""A degradation in nine numbers, and the loss that has a code tell them.

Ours, not the paper's. The paper's losses compare codes of degraded images with codes of clean ones: nothing asks the
code which degradation it was, or how strong. While training, degraded and clean image are both at hand. What lies
between them is described by a few closed forms, and the code of the degraded image alone shall tell them.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.constyle.encoder import Code
from restorekit.core.image.convention import Images

__all__ = ["DESCRIBED", "describe", "description_loss"]

DESCRIBED = (
    "fine",
    "log fine",
    "log middle",
    "log coarse",
    "log colour",
    "shift",
    "contrast",
    "sharpness",
    "skewness",
)
"""What the numbers are; ``describe`` says how they are found."""

GREY_LEVEL = 1 / 255
Planes = Float[Tensor, "batch channels rows columns"]
Value = Float[Tensor, " batch"]


def describe(degraded: Images, clean: Images) -> Float[Tensor, "batch 9"]:
    """What was done to the clean image, from r = degraded - clean, its mean over RGB, and three bands of that.

    Fine is what 2 x 2 means leave out, middle what 4 x 4 means leave out of those, coarse the rest.

    Args:
        degraded, clean: (batch, 3, height, width) in [0, 1], sizes multiples of 4.

    Returns:
        Numbers of about unit size, in the order of ``DESCRIBED``: 10 times the RMS of the fine band; log(RMS) + 4 of
        the three bands and of the fine colour, r minus its mean over RGB; 3 times the mean of r; the slopes of the
        degraded image over the clean one, whole and in the fine band alone; the skewness of the fine band, halved.
    """
    residual = (degraded - clean).float()
    grey = residual.mean(dim=1, keepdim=True)
    fine, middle, coarse = _bands(grey)
    colour = _bands(residual - grey)[0]
    original = clean.float().mean(dim=1, keepdim=True)
    found = (
        10 * _rms(fine),
        *(torch.log(_rms(band) + GREY_LEVEL) + 4 for band in (fine, middle, coarse, colour)),
        3 * grey.mean(dim=(1, 2, 3)),
        1 + _slope(grey, original),
        1 + _slope(fine, _bands(original)[0]),
        _skewness(fine) / 2,
    )
    return torch.stack(found, dim=1)


def description_loss(code: Code, degraded: Images, clean: Images) -> Float[Tensor, ""]:
    """Huber's loss between the description and what the code says: the differences of its first values, two by two.

    Pairs of values, since a value of a code hardly goes below zero; no weights are needed, so none are thrown away.
    """
    count = len(DESCRIBED)
    told = code.float()[:, : 2 * count]
    return F.smooth_l1_loss(told[:, 0::2] - told[:, 1::2], describe(degraded, clean))


def _bands(planes: Planes) -> tuple[Tensor, Tensor, Tensor]:
    """Fine, middle and coarse, the latter two at a half and a quarter of the resolution."""
    halves = F.avg_pool2d(planes, 2)
    quarters = F.avg_pool2d(halves, 2)
    return planes - F.interpolate(halves, scale_factor=2), halves - F.interpolate(quarters, scale_factor=2), quarters


def _rms(planes: Planes) -> Value:
    return planes.square().mean(dim=(1, 2, 3)).sqrt()


def _slope(planes: Planes, over: Planes) -> Value:
    """Of the least-squares line, drawn to 0 where there is nothing to measure it on, in [-2, 2]."""
    planes, over = (part - part.mean(dim=(1, 2, 3), keepdim=True) for part in (planes, over))
    slope: Value = (planes * over).mean(dim=(1, 2, 3)) / (over.square().mean(dim=(1, 2, 3)) + GREY_LEVEL**2)
    return slope.clamp(-2, 2)


def _skewness(planes: Planes) -> Value:
    """Third moment over the cube of the RMS, in [-3, 3]; 0 for less than a grey level."""
    third: Value = planes.pow(3).mean(dim=(1, 2, 3))
    return (third / (_rms(planes) + GREY_LEVEL) ** 3).clamp(-3, 3)
