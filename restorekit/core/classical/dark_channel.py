"""Dark channel prior: in a haze-free patch some pixel is dark in some channel, so what is bright there is haze.

He, Sun and Tang 2009 (CVPR; IEEE TPAMI 33(12), 2011), with their guided filter (ECCV 2010) in place of soft matting.
"""

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from restorekit.core.classical.frame import ClassicalConfig, Photo, SurveyedRestorer, to_photo
from restorekit.core.classical.guided_filter import guided_filter
from restorekit.core.restorer import InputSpec, WholeView

__all__ = ["DarkChannelPrior", "DarkChannelPriorConfig"]

Airlight = tuple[float, float, float]

OVERVIEW_PX = 1024  # the airlight is one colour of the far background: small images show it as well
BRIGHTEST_SHARE = 0.001  # of the dark channel's pixels, as in the paper
DARKEST_AIRLIGHT = 0.05  # keeps the division by the airlight harmless in almost black images


class DarkChannelPriorConfig(ClassicalConfig):
    """Options of the dark channel prior."""

    omega: float = Field(default=0.85, gt=0, le=1)
    """Share of the haze removed, without unit: best PSNR of 0.8 to 0.95 on SOTS_indoor; 0.95 in the paper."""
    patch_radius_px: int = Field(default=7, ge=1, le=30)
    """Patches of (2 r + 1) px; 15x15 as in the paper, 2 dB better than 7x7 on SOTS_indoor."""
    smallest_transmission: float = Field(default=0.1, gt=0, le=1)
    """No pixel is taken to show less of the scene than this share, without unit; as in the paper."""
    guide_radius_px: int = Field(default=40, ge=1, le=100)
    """Radius of the guided filter in px: 20, 40 and 60 were within 0.1 dB on SOTS_indoor."""
    guide_epsilon: float = Field(default=1e-3, gt=0, le=1)
    """Guided filter's epsilon in squared units of [0, 1]; as in the paper's examples."""


class DarkChannelPrior(SurveyedRestorer[Airlight]):
    """Haze removal: J = (I - A) / max(t, t0) + A with t = 1 - omega dark(I / A), refined by the guided filter.

    Differs from the paper: A is the mean colour of the 0.1 % of pixels with the brightest dark channel rather than the
    brightest of them (+0.1 dB on SOTS_indoor), found on an overview of at most 1024 px; t is refined by the guided
    filter with a gray guide instead of soft matting.
    """

    name = "classical:dcp"
    summary = "Dark channel prior with guided filter: removes haze."
    helps = ("haze",)
    config_type = DarkChannelPriorConfig

    config: DarkChannelPriorConfig

    def __init__(self, config: DarkChannelPriorConfig | None = None) -> None:
        self.config = config or DarkChannelPriorConfig()
        halo = self.config.patch_radius_px + 2 * self.config.guide_radius_px
        self.spec = InputSpec(tiling="shared", halo=halo, bytes_per_pixel=80)

    def survey(self, view: WholeView) -> Airlight:
        """Colour of the airlight, in [0, 1]."""
        photo = to_photo(view.overview(OVERVIEW_PX))
        dark = dark_channel(photo, self.config.patch_radius_px).ravel()
        count = max(int(dark.size * BRIGHTEST_SHARE), 1)
        brightest = np.argsort(dark, kind="stable")[-count:]
        airlight = photo.reshape(-1, 3)[brightest].mean(axis=0, dtype=np.float64)
        red, green, blue = np.maximum(airlight, DARKEST_AIRLIGHT).tolist()
        return red, green, blue

    def restore_photo(self, photo: Photo, code: Airlight) -> Photo:
        """Remove the haze of one tile; ``code`` is the airlight."""
        airlight = np.array(code, dtype=np.float32)
        coarse = 1 - np.float32(self.config.omega) * dark_channel(photo / airlight, self.config.patch_radius_px)
        transmission = guided_filter(
            np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), dtype=np.float32),
            coarse,
            radius_px=self.config.guide_radius_px,
            epsilon=self.config.guide_epsilon,
        )
        transmission = np.clip(transmission, self.config.smallest_transmission, 1)
        return np.asarray((photo - airlight) / transmission[..., None] + airlight, dtype=np.float32)


def dark_channel(photo: Photo, radius_px: int) -> npt.NDArray[np.float32]:
    """Smallest value of any channel within a square window: (height, width). He et al. 2009, eq. 5."""
    size = 2 * radius_px + 1
    return np.asarray(cv2.erode(photo.min(axis=2), np.ones((size, size), dtype=np.uint8)), dtype=np.float32)
