"""SCI: three 3x3 convolutions estimate the illumination of a dark photo, which is then divided by it.

Ma, Ma, Liu, Fan, Luo 2022, "Toward Fast, Flexible, and Robust Low-Light Image Enhancement" (CVPR, arXiv:2204.10137).
Written from the paper; what it leaves open (widths, norms, clamps) follows the authors' code.

- In training the estimator runs several times, each time on an input that a second small network has corrected, so
  that the first run learns to give what the last one would. At inference the first run is all there is.
- In evaluation mode batch norm is a constant scale: the receptive field is three pixels, so tiled equals whole.
- The losses that train it without bright photos are in ``restorekit.training.unsupervised``.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from restorekit.core.networks.base import FeatureMaps, NetworkConfig, PlainImages, Width

__all__ = ["SCI", "Calibrator", "IlluminationEstimator", "SCIConfig"]

DARKEST = 1e-4  # illumination is at least this, so that the division stays finite
CALIBRATOR_STEPS = 3  # times that the calibrator's inner layers run, always with the same weights
START_DEVIATION = 0.02  # of the initial weights: illumination starts half a range above the image


class SCIConfig(NetworkConfig):
    """SCI of any width; the defaults are what the paper trains, of which inference needs 258 parameters."""

    summary: ClassVar[str] = "SCI (Ma et al. 2022): three convolutions estimate illumination; trained without pairs."

    width: Width = 3
    """Channels of the illumination estimator. 3 in the paper's smallest network."""
    stages: int = Field(default=3, ge=1, le=16)
    """Runs of the estimator in training. 1: no calibrator, which is all that inference needs."""
    calibrator_width: Width = 16
    """Channels of the calibrator, which works in training alone."""
    channels: Width = 3
    """Colour planes of the image: 3 for RGB, 1 for gray."""

    def build(self) -> "SCI":
        """The network with fresh weights."""
        return SCI(self)

    @property
    def planes(self) -> tuple[int, int]:
        """As many planes as the image has."""
        return self.channels, self.channels

    @property
    def multiple_of(self) -> int:
        """Any size."""
        return 1

    @property
    def receptive_field_px(self) -> int:
        """One px for each 3x3 layer of the estimator."""
        return 3


class SCI(nn.Module):
    """Illumination estimator and, for training in several stages, the calibrator (figure 2).

    Args:
        config: widths and number of stages.

    Differs from the paper: no.
    """

    def __init__(self, config: SCIConfig) -> None:
        super().__init__()
        self.config = config
        self.estimator = IlluminationEstimator(config.channels, config.width)
        self.calibrator = Calibrator(config.channels, config.calibrator_width) if config.stages > 1 else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=START_DEVIATION)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: PlainImages) -> PlainImages:
        """Brighten images of any size by the first stage; same shape, within [0, 1] where ``images`` are."""
        return _lit(images, self.estimator(images))

    def enhancement_stages(self, images: PlainImages) -> list[tuple[PlainImages, PlainImages, PlainImages]]:
        """For losses, each stage's input, result and illumination: v, z and x.

        Sections 3.1 and 3.2:  x_t = H(v_(t-1)),  z_t = y / x_t,  v_t = y + K(z_t),  v_0 = y.
        The first result is that of ``forward``.
        """
        corrected = images
        found: list[tuple[PlainImages, PlainImages, PlainImages]] = []
        for stage in range(self.config.stages):
            if stage and self.calibrator is not None:
                corrected = images + self.calibrator(found[-1][1])
            illumination = self.estimator(corrected)
            found.append((corrected, _lit(images, illumination), illumination))
        return found


class IlluminationEstimator(nn.Module):
    """H: illumination is the image plus something between 0 and 1, at most 1; no result is darker than its image.

    Args:
        planes: of the image.
        width: channels.

    Differs from the paper: no; the layers are the authors' code's.
    """

    def __init__(self, planes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(planes, width, 3, padding=1)
        self.middle = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Conv2d(width, planes, 3, padding=1)

    def forward(self, images: PlainImages) -> PlainImages:
        """Illumination of each plane, from 0.0001 to 1."""
        features: FeatureMaps = F.relu(self.stem(images))
        return (torch.sigmoid(self.head(features + self.middle(features))) + images).clamp(DARKEST, 1)


class Calibrator(nn.Module):
    """K: what is added to the dark image so that the next stage starts closer to where the first one should end.

    Args:
        planes: of the image.
        width: channels.

    Differs from the paper: no; the layers are the authors' code's.
    """

    def __init__(self, planes: int, width: int) -> None:
        super().__init__()
        self.stem = _normed(planes, width)
        self.middle = nn.Sequential(*_normed(width, width), *_normed(width, width))
        self.head = nn.Conv2d(width, planes, 3, padding=1)

    def forward(self, lit: PlainImages) -> PlainImages:
        """A correction between -1 and 1 from a stage's result in [0, 1]."""
        features: FeatureMaps = self.stem(lit)
        for _ in range(CALIBRATOR_STEPS):
            features = features + self.middle(features)
        correction: PlainImages = lit - torch.sigmoid(self.head(features))
        return correction


def _lit(images: PlainImages, illumination: PlainImages) -> PlainImages:
    """The scene as if evenly lit: the image divided by its illumination, between 0 and 1."""
    return (images / illumination).clamp(0, 1)


def _normed(planes: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(planes, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
