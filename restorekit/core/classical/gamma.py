"""Gamma: one power curve that brings the mean of the image to a chosen brightness."""

import math

import numpy as np
from pydantic import Field

from restorekit.core.classical.frame import ClassicalConfig, Photo, SurveyedRestorer
from restorekit.core.restorer import InputSpec, WholeView

__all__ = ["Gamma", "GammaConfig"]

LEVELS = 2**16  # every value of an 8 or 16 bit file has a level of its own


class GammaConfig(ClassicalConfig):
    """Options of the gamma curve."""

    target_mean: float = Field(default=0.45, gt=0, lt=1)
    """Mean of the restored image in [0, 1]: best PSNR of 0.35 to 0.55 on NTU_lowlight."""
    exponent: float | None = Field(default=None, gt=0, le=20)
    """The exponent itself (below 1 brightens), without unit; found from ``target_mean`` when absent."""
    strongest: float = Field(default=8.0, ge=1, le=20)
    """The exponent found lies between 1 / strongest and strongest; our choice, for almost black images."""


class Gamma(SurveyedRestorer[float]):
    """restored = clip(degraded, 0, 1) ** exponent, with the exponent that gives the wanted mean."""

    name = "classical:gamma"
    summary = "Gamma: exposure corrected to a given mean brightness."
    helps = ("low_light",)
    config_type = GammaConfig

    config: GammaConfig

    def __init__(self, config: GammaConfig | None = None) -> None:
        self.config = config or GammaConfig()
        self.spec = InputSpec(tiling="shared", halo=0, bytes_per_pixel=64)

    def survey(self, view: WholeView) -> float:
        """The exponent."""
        from scipy import optimize

        if self.config.exponent is not None:
            return self.config.exponent
        counts = np.zeros(LEVELS, dtype=np.int64)
        for tile, window, core in view.tiles():
            top, left = core.top - window.top, core.left - window.left
            inner = tile[0, :, top : top + core.height, left : left + core.width].clamp(0, 1).cpu().numpy()
            counts += np.bincount(np.rint(inner * (LEVELS - 1)).astype(np.int64).ravel(), minlength=LEVELS)
        share = counts / counts.sum()
        levels = np.linspace(0, 1, LEVELS)
        limit = math.log(self.config.strongest)

        def excess(log_exponent: float) -> float:
            return float(share @ levels ** math.exp(log_exponent)) - self.config.target_mean

        if excess(-limit) <= 0:
            return math.exp(-limit)
        if excess(limit) >= 0:
            return math.exp(limit)
        return math.exp(optimize.brentq(excess, -limit, limit))

    def restore_photo(self, photo: Photo, code: float) -> Photo:
        """Apply the curve."""
        return np.asarray(np.clip(photo, 0, 1) ** np.float32(code), dtype=np.float32)
