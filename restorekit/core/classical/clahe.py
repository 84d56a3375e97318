"""CLAHE: contrast-limited adaptive histogram equalisation of the lightness.

Zuiderveld 1994 (Graphics Gems IV); the work is OpenCV's.
"""

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from restorekit.core.classical.frame import ClassicalConfig, Photo, SurveyedRestorer, to_photo
from restorekit.core.restorer import InputSpec, WholeView, Window

__all__ = ["Clahe", "ClaheConfig"]

LEVELS_PER_LIGHTNESS = np.float32(2.55)  # CIE L* runs from 0 to 100, OpenCV's 8 bit levels from 0 to 255


class ClaheConfig(ClassicalConfig):
    """Options of CLAHE."""

    clip_limit: float = Field(default=2.0, gt=0, le=100)
    """Largest slope of the curve, as a multiple of a flat histogram's. Best PSNR of 1 to 8 on SOTS_indoor;
    NTU_lowlight prefers more (8: +1.6 dB), which roughens ordinary photos."""
    blocks: int = Field(default=8, ge=1, le=64)
    """The image is divided into blocks x blocks regions, each with its own curve; OpenCV's default."""


class Clahe(SurveyedRestorer[npt.NDArray[np.int16]]):
    """OpenCV's CLAHE on the 8 bit lightness L*; its change is added to the unrounded lightness.

    The survey runs CLAHE once on the 8 bit lightness of the whole image and keeps the change of each pixel (2 bytes
    per pixel), so tiles agree with the whole. Adding the change, rather than replacing the lightness, keeps the
    gradations finer than 8 bit. Values are clipped to [0, 1] first.

    Differs from the paper: no; colour is left alone (a* and b* are kept).
    """

    name = "classical:clahe"
    summary = "CLAHE: local contrast from adaptive histograms."
    helps = ("low_light", "haze")
    config_type = ClaheConfig

    config: ClaheConfig

    def __init__(self, config: ClaheConfig | None = None) -> None:
        self.config = config or ClaheConfig()
        self.spec = InputSpec(tiling="shared", halo=0, bytes_per_pixel=64)

    def survey(self, view: WholeView) -> npt.NDArray[np.int16]:
        """What CLAHE adds to each pixel's 8 bit lightness: (height, width)."""
        levels = np.empty((view.height, view.width), dtype=np.uint8)
        for tile, window, core in view.tiles():
            top, left = core.top - window.top, core.left - window.left
            lightness = _to_lab(to_photo(tile))[top : top + core.height, left : left + core.width, 0]
            rounded = np.rint(lightness * LEVELS_PER_LIGHTNESS)
            levels[core.top : core.top + core.height, core.left : core.left + core.width] = rounded
        blocks = (self.config.blocks, self.config.blocks)
        equalised = cv2.createCLAHE(self.config.clip_limit, blocks).apply(levels)
        return np.subtract(equalised, levels, dtype=np.int16)

    def code_at(self, code: npt.NDArray[np.int16], window: Window) -> npt.NDArray[np.int16]:
        """The change of lightness within ``window``."""
        return code[window.top : window.top + window.height, window.left : window.left + window.width]

    def restore_photo(self, photo: Photo, code: npt.NDArray[np.int16]) -> Photo:
        """Add the change of lightness."""
        lab = _to_lab(photo)
        lab[..., 0] += code / LEVELS_PER_LIGHTNESS
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), dtype=np.float32)


def _to_lab(photo: Photo) -> Photo:
    """CIE L*a*b* of the clipped photo; L* in [0, 100]."""
    return np.asarray(cv2.cvtColor(np.clip(photo, 0, 1), cv2.COLOR_RGB2Lab), dtype=np.float32)
