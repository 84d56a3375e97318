"""Noise: Gaussian (white or correlated) on the encoded image, and camera noise whose variance grows with the light."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.core.degradation.base import DegradationTerm, Params, column
from restorekit.core.degradation.fields import normal_fields
from restorekit.core.degradation.settings import Span, flag, span, word
from restorekit.core.image.colour import linear_to_srgb, srgb_to_linear
from restorekit.core.image.convention import Images

__all__ = ["CameraNoise", "GaussianNoise", "sensor_noise"]

GREY_LEVELS = 255.0
"""``sigma`` is written on the field's 8-bit scale; images are in [0, 1]."""


@dataclass(frozen=True)
class GaussianNoise(DegradationTerm):
    """Gaussian noise of one strength everywhere: degraded = clean + sigma/255 * n.

    ``n`` has mean 0 and deviation 1 at every px. With ``correlation`` c > 0 it is white noise filtered by a Gaussian of
    c px and rescaled; its autocorrelation at a lag of d px is then close to exp(-d^2 / (4 c^2)).
    """

    name: ClassVar[str] = "noise"
    seeded: ClassVar[bool] = True

    sigma: Span = span(
        "5..50", low=0, high=255, unit="grey levels", help="standard deviation on the 8-bit scale 0..255"
    )
    correlation: Span = span("0", low=0, high=8, unit="px", help="deviation of the filter run over the noise; 0: white")
    clip: bool = flag(True, help="1: clamp the result to [0, 1]; 0: keep it as it is (the CBSD68 protocol)")
    colour: str = word("rgb", ("rgb", "gray"), help="rgb: independent channels; gray: the same noise in all three")

    def _degrade(self, clean: Images, params: Params) -> Images:
        channels = 3 if self.colour == "rgb" else 1
        noise = normal_fields(clean, params["seed"], params["correlation"], channels=channels)
        noisy = clean + noise * (column(params["sigma"], clean) / GREY_LEVELS)
        return noisy.clamp(0.0, 1.0) if self.clip else noisy


@dataclass(frozen=True)
class CameraNoise(DegradationTerm):
    """Poisson-Gaussian sensor noise: in the light x that falls on the sensor, variance = shot * x + read^2.

    Foi et al. 2008 (10.1109/TIP.2008.2001399), the heteroscedastic Gaussian approximation: gradients pass through the
    variance, and it holds for more than about ten photons per px (shot below 0.1).

    Differs from the paper: clipping is the sensor's only non-linearity; with ``linear=1`` the noise is added to linear
    light and the result is encoded as sRGB again; ``correlation`` imitates what demosaicing does to the noise.
    """

    name: ClassVar[str] = "camera"
    seeded: ClassVar[bool] = True

    shot: Span = span(
        "0.0005..0.02", low=0, high=0.1, log=True, help="variance per unit of light; 1 / photons at white"
    )
    read: Span = span("0.001..0.02", low=0, high=0.2, log=True, help="deviation in the dark, where white is 1")
    correlation: Span = span("0..0.7", low=0, high=8, unit="px", help="deviation of the filter run over the noise")
    linear: bool = flag(True, help="1: add the noise in linear light, then encode as sRGB; 0: on the encoded values")

    def _degrade(self, clean: Images, params: Params) -> Images:
        light = srgb_to_linear(clean) if self.linear else clean
        noise = normal_fields(clean, params["seed"], params["correlation"])
        noisy = sensor_noise(light, noise, shot=params["shot"], read=params["read"])
        return linear_to_srgb(noisy) if self.linear else noisy.clamp(0.0, 1.0)


def sensor_noise(light: Images, noise: Images, *, shot: Float[Tensor, "batch"], read: Float[Tensor, "batch"]) -> Images:
    """``light`` plus standard normal ``noise`` scaled to variance shot * light + read^2; not clamped."""
    variance = column(shot, light) * light.clamp_min(0.0) + column(read, light).square()
    # The root has no finite gradient at 0; 1e-12 is a deviation of a millionth of white.
    return light + noise * torch.sqrt(variance.clamp_min(1e-12))
