"""Down- and up-sampling: detail that a smaller image cannot hold is lost, the size stays."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from restorekit.core.degradation.base import DegradationTerm, Params
from restorekit.core.degradation.settings import Span, span, word
from restorekit.core.image.convention import Images

__all__ = ["Resample", "resize"]

METHODS = ("bicubic", "bilinear", "area", "nearest")


@dataclass(frozen=True)
class Resample(DegradationTerm):
    """Shrunk by ``factor`` with antialiasing, then enlarged to the old size again.

    The small size is rounded to whole px, at least 1. ``nearest`` and ``area`` follow torch's definitions; bicubic and
    bilinear widen their filters when shrinking, as Pillow does.
    """

    name: ClassVar[str] = "resample"

    factor: Span = span("2..4", low=1, high=16, help="how many times smaller each side becomes")
    method: str = word("bicubic", METHODS, help="how the image is shrunk")
    up: str = word("bicubic", METHODS, help="how it is enlarged")

    def _degrade(self, clean: Images, params: Params) -> Images:
        size = (clean.shape[-2], clean.shape[-1])
        resampled = []
        for image, factor in zip(clean, params["factor"].tolist(), strict=True):
            small = (max(1, round(size[0] / factor)), max(1, round(size[1] / factor)))
            resampled.append(resize(resize(image[None], small, self.method), size, self.up))
        return torch.cat(resampled).clamp(0.0, 1.0)


def resize(images: Images, size: tuple[int, int], method: str) -> Float[Tensor, "batch 3 _ _"]:
    """Images of (height, width) ``size`` px; ``method`` is bicubic, bilinear, area or nearest. Not clamped."""
    if method == "nearest":
        return interpolate(images, size=size, mode="nearest-exact")
    if method == "area":
        return interpolate(images, size=size, mode="area")
    return interpolate(images, size=size, mode=method, align_corners=False, antialias=True)
