"""Low light: a short exposure of the scene, with a flatter tone curve, a colour shift and the sensor's noise."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from restorekit.core.degradation.base import DegradationTerm, Params, column
from restorekit.core.degradation.fields import normal_fields
from restorekit.core.degradation.noise import sensor_noise
from restorekit.core.degradation.settings import Span, flag, span
from restorekit.core.image.colour import linear_to_srgb, srgb_to_linear
from restorekit.core.image.convention import Images

__all__ = ["LowLight"]

BLACK_TINT = (1.0, 0.5, 1.0)
"""A camera's white balance about doubles red and blue, and with them what is left of the black level."""
BLACK_LEVEL = 1.0 / (255.0 * 12.92)
"""Linear light of one grey level near black."""


@dataclass(frozen=True)
class LowLight(DegradationTerm):
    """In linear light: dark = exposure * gains * clean^gamma + black, then sensor noise, then sRGB and 8 bits.

    The ranges give photos of 5 to 10 dB against their bright twins: 0.4 % to 6 % of the light, shadows that lose less
    than highlights (gamma below 1), a faint purple black, and noise of 0.5 to 1 grey level before it is brightened.
    """

    name: ClassVar[str] = "low_light"
    seeded: ClassVar[bool] = True

    exposure: Span = span("0.004..0.06", low=0.0001, high=1, log=True, help="light kept at white")
    gamma: Span = span("0.6..1.1", low=0.2, high=4, help="exponent in linear light; below 1 keeps shadows")
    red: Span = span("0.8..1.25", low=0.25, high=4, log=True, help="gain of red against green")
    blue: Span = span("0.8..1.25", low=0.25, high=4, log=True, help="gain of blue against green")
    black: Span = span("0..6", low=0, high=64, unit="grey levels", help="black level of red and blue; green gets half")
    shot: Span = span("0.000002..0.00005", low=0, high=0.1, log=True, help="variance per unit of light after darkening")
    read: Span = span("0.00005..0.0004", low=0, high=0.1, log=True, help="deviation in the dark, where white is 1")
    correlation: Span = span("0..0.8", low=0, high=8, unit="px", help="deviation of the filter run over the noise")
    quantise: bool = flag(True, help="1: round to 8 bits as a file does (gradient passed on unchanged); 0: do not")

    def _degrade(self, clean: Images, params: Params) -> Images:
        gains = torch.stack([params["red"], torch.ones_like(params["red"]), params["blue"]], dim=1)
        scale = column(params["exposure"], clean) * gains.to(clean.device)[:, :, None, None]
        # A power below 1 has no finite gradient at 0; 1e-5 of white is far below one grey level.
        light = srgb_to_linear(clean).clamp_min(1e-5) ** column(params["gamma"], clean) * scale
        tint = torch.tensor(BLACK_TINT, device=clean.device)[:, None, None] * BLACK_LEVEL
        light = light + column(params["black"], clean) * tint
        noise = normal_fields(clean, params["seed"], params["correlation"])
        dark = linear_to_srgb(sensor_noise(light, noise, shot=params["shot"], read=params["read"]))
        return dark + (torch.round(dark * 255.0) / 255.0 - dark).detach() if self.quantise else dark
