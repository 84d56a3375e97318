"""Gray world: the colours of a scene average to gray, so a common tint is the light's.

Buchsbaum 1980 (J. Franklin Institute 310(1)).
"""

import numpy as np
from pydantic import Field

from restorekit.core.classical.frame import ClassicalConfig, Photo, SurveyedRestorer
from restorekit.core.restorer import InputSpec, WholeView

__all__ = ["GrayWorld", "GrayWorldConfig"]

Gains = tuple[float, float, float]


class GrayWorldConfig(ClassicalConfig):
    """Options of gray world."""

    strength: float = Field(default=1.0, ge=0, le=1)
    """1 makes the channels' means equal, 0 changes nothing (gains to that power); 1 is the method itself."""
    largest_gain: float = Field(default=4.0, ge=1, le=100)
    """No channel is multiplied by more than this nor by less than its inverse; our choice, for one-coloured scenes."""


class GrayWorld(SurveyedRestorer[Gains]):
    """Each channel times a gain that makes its mean the mean of all three. The result is not clipped.

    Differs from the paper: works on the sRGB-encoded values, as image editors do, and limits the gains.
    """

    name = "classical:gray_world"
    summary = "Gray world: removes a colour cast."
    helps = ("colour",)
    config_type = GrayWorldConfig

    config: GrayWorldConfig

    def __init__(self, config: GrayWorldConfig | None = None) -> None:
        self.config = config or GrayWorldConfig()
        self.spec = InputSpec(tiling="shared", halo=0, bytes_per_pixel=48)

    def survey(self, view: WholeView) -> Gains:
        """The gains of red, green and blue."""
        totals = np.zeros(3)
        for tile, window, core in view.tiles():
            top, left = core.top - window.top, core.left - window.left
            inner = tile[0, :, top : top + core.height, left : left + core.width]
            totals += inner.double().sum(dim=(1, 2)).cpu().numpy()
        means = np.maximum(totals, 1e-12)
        limit = self.config.largest_gain
        red, green, blue = np.clip((means.mean() / means) ** self.config.strength, 1 / limit, limit).tolist()
        return red, green, blue

    def restore_photo(self, photo: Photo, code: Gains) -> Photo:
        """Multiply the channels by their gains."""
        return photo * np.array(code, dtype=np.float32)
