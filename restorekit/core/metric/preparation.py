"""From images to the numbers a metric compares: clamp, GT-mean, rounding, channel, crop, in this order.

Values leave here on the 8-bit scale, 0 to 255, whatever the depth: an 8-bit RGB image then consists of exact integers.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.colour import luma_full, luma_studio
from restorekit.core.image.convention import Images, check_images
from restorekit.core.metric.protocol import MetricProtocol
from restorekit.errors import ImageError

__all__ = ["PEAK", "Levels", "Reference", "accumulator", "check_pair", "prepare", "prepare_pair"]

Levels = Float[Tensor, "batch channels rows columns"]
"""What a metric compares: 3 channels or 1, less the crop, in [0, ``PEAK``]."""

Reference = Float[Tensor, "references 3 reference_height reference_width"]
"""A reference as handed over; that its size is that of the restored images is checked, with a message."""

PEAK = 255.0
"""The value of full brightness on the scale that ``prepare`` returns."""


def prepare_pair(
    restored: Images, reference: Reference | None, protocol: MetricProtocol, *, name: str
) -> tuple[Levels, Levels]:
    """Both images as the protocol compares them, (batch, 3 or 1, height, width) in [0, 255].

    Raises:
        ImageError: not images, different sizes, or nothing left after the crop.
    """
    reference = check_pair(restored, reference, name=name)
    if protocol.gt_mean:
        restored = _with_mean_of(restored, reference)
    return _measured(restored, protocol, name=name), _measured(reference, protocol, name=name)


def prepare(images: Images, protocol: MetricProtocol, *, name: str) -> Levels:
    """The same for a metric that needs no reference.

    Raises:
        ImageError: not images, or nothing left after the crop.
    """
    check_images(images, f"{name}: restored")
    return _measured(images, protocol, name=name)


def check_pair(restored: Images, reference: Reference | None, *, name: str) -> Reference:
    """The reference, once both are images of one size.

    Raises:
        ImageError: names both sizes.
    """
    if reference is None:
        raise ImageError(f"{name}: expected a reference image, got none; use a no-reference metric such as niqe")
    check_images(restored, f"{name}: restored")
    check_images(reference, f"{name}: reference")
    if restored.shape != reference.shape:
        raise ImageError(
            f"{name}: expected restored and reference of one size, got {_size(restored)} and {_size(reference)}; "
            f"crop or resize one of them"
        )
    return reference


def accumulator(values: Tensor) -> torch.dtype:
    """The type to sum in: float64, or float32 on the one device type that has no float64."""
    return torch.float32 if values.device.type == "mps" else torch.float64


def _clamped(images: Images) -> Images:
    return images.to(torch.promote_types(images.dtype, torch.float32)).clamp(0.0, 1.0)


def _with_mean_of(restored: Images, reference: Images) -> Images:
    """GT-mean: ``restored`` scaled so that its mean full-range luma is the reference's; a black image stays black."""
    restored = _clamped(restored)
    own, target = (luma_full(images).mean(dim=(1, 2, 3), keepdim=True) for images in (restored, _clamped(reference)))
    return restored * (target / own.clamp_min(1e-6))


def _measured(images: Images, protocol: MetricProtocol, *, name: str) -> Levels:
    # In place on the clamped copy: fresh memory costs more than the arithmetic.
    levels = _clamped(images)
    if protocol.depth == "u16":
        levels.mul_(65535.0).round_().div_(257.0)
    else:
        levels.mul_(PEAK)
    if protocol.depth == "u8":
        levels.round_()
    if protocol.channel != "rgb":
        luma = luma_studio if protocol.channel == "y-studio" else luma_full
        levels = luma(levels / PEAK) * PEAK
    crop, height, width = protocol.crop, levels.shape[-2], levels.shape[-1]
    if 2 * crop >= min(height, width):
        raise ImageError(f"{name}: expected more than {2 * crop} px a side for crop{crop}, got {_size(levels)}")
    return levels[..., crop : height - crop, crop : width - crop]


def _size(images: Tensor) -> str:
    batch, _, height, width = images.shape
    return f"{width}x{height}" + (f" (batch of {batch})" if batch > 1 else "")
