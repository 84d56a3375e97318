"""Unsharp mask: adds back what a Gaussian blur would take away."""

import math

import cv2
import numpy as np
from pydantic import Field

from restorekit.core.classical.frame import ClassicalConfig, LocalRestorer, Photo
from restorekit.core.restorer import InputSpec

__all__ = ["Unsharp", "UnsharpConfig"]


class UnsharpConfig(ClassicalConfig):
    """Options of the unsharp mask."""

    sigma_px: float = Field(default=1.5, gt=0, le=20)
    """Standard deviation of the blur in px: best PSNR of 1 to 3 on GoPro, by 0.01 dB (its blur is motion)."""
    amount: float = Field(default=0.5, ge=0, le=5)
    """How much of the detail is added, without unit: 0.3 is best on GoPro by 0.04 dB, more is better
    on Gaussian blurs; about 1 looks crisp."""


class Unsharp(LocalRestorer):
    """restored = degraded + amount (degraded - blurred), not clipped."""

    name = "classical:unsharp"
    summary = "Unsharp mask: stronger edges for slightly soft photos."
    helps = ("blur",)
    config_type = UnsharpConfig

    config: UnsharpConfig

    def __init__(self, config: UnsharpConfig | None = None) -> None:
        self.config = config or UnsharpConfig()
        self.radius_px = math.ceil(4 * self.config.sigma_px)
        self.spec = InputSpec(halo=self.radius_px, bytes_per_pixel=64)

    def restore_photo(self, photo: Photo) -> Photo:
        """Sharpen one photo."""
        size = 2 * self.radius_px + 1
        blurred = cv2.GaussianBlur(photo, (size, size), self.config.sigma_px, borderType=cv2.BORDER_REFLECT_101)
        return np.asarray(photo + np.float32(self.config.amount) * (photo - blurred), dtype=np.float32)
