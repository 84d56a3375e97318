"""A pool of clean images from the diffusion model itself, so that φ sees more than the one image it is learned on.

It stands in for auxiliary samples: made once by unguided runs, kept by noise level, used for every image of that size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from restorekit.core.image.convention import Images
from restorekit.errors import UsageError
from restorekit.zeroair.stages import Moment

__all__ = ["CleanPool"]


@dataclass(frozen=True)
class CleanPool:
    """Clean estimates by timestep.

    Raises:
        UsageError: it is empty.
    """

    estimates: Mapping[int, Images]
    """Timestep -> (count, 3, height, width), in [0, 1]: blurred far from the clean end, as the guided estimate is."""

    def __post_init__(self) -> None:
        """Refuse an empty pool."""
        if not self.estimates:
            raise UsageError("pool: expected clean estimates of at least one timestep, got none")

    def at(self, moment: Moment, count: int) -> Images:
        """``count`` images of the nearest timestep, in turn from step to step; no random number is drawn."""
        nearest = min(self.estimates, key=lambda timestep: abs(timestep - moment.timestep))
        images = self.estimates[nearest]
        first = (moment.step - 1) * count
        return images[(torch.arange(first, first + count) % len(images)).to(images.device)]
