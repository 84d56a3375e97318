"""Zero-DCE: a small network draws, for every pixel, the tone curve that brightens it.

Guo, Li, Guo, Loy, Hou, Kwong, Cong 2020, "Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement" (CVPR,
arXiv:2001.06826). Written from the paper.

- A curve keeps [0, 1] in [0, 1] and never reverses the order of two values; eight in a row bend far enough for night.
- No norm, no change of size: the receptive field is seven pixels, so tiled equals whole.
- The losses that train it without bright photos are in ``restorekit.training.unsupervised``.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps, NetworkConfig, PlainImages, Width

__all__ = ["Curves", "ZeroDCE", "ZeroDCEConfig", "apply_curves"]

Curves = Float[Tensor, "batch curves height width"]
"""Curve parameters alpha in [-1, 1]: for each iteration one map per colour plane."""

DEPTH = 4  # layers before the first concatenation; then one fewer with a skip each: seven in all, as in figure 2
START_DEVIATION = 0.02  # of the initial weights (section 4 of the paper); fresh curves are almost straight


class ZeroDCEConfig(NetworkConfig):
    """DCE-Net of any width; the defaults are the paper's (79,416 parameters)."""

    summary: ClassVar[str] = "Zero-DCE (Guo et al. 2020): tone curves per pixel for low light, trained without pairs."

    width: Width = 32
    """Channels of every layer but the last. 32 in the paper."""
    iterations: int = Field(default=8, ge=1, le=64)
    """Curves applied one after the other. 8 in the paper."""
    channels: Width = 3
    """Colour planes of the image: 3 for RGB, 1 for gray."""

    def build(self) -> "ZeroDCE":
        """The network with fresh weights."""
        return ZeroDCE(self)

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
        """One px for each 3x3 layer."""
        return 2 * DEPTH - 1


class ZeroDCE(nn.Module):
    """DCE-Net (figure 2): seven 3x3 layers with concatenated skips give curves, which are applied to the image.

    Args:
        config: width and number of curves.

    Differs from the paper: no. Weights of the authors' code have curves of opposite sign: negate the last layer.
    """

    def __init__(self, config: ZeroDCEConfig) -> None:
        super().__init__()
        width = config.width
        inputs = [config.channels, *[width] * (DEPTH - 1)]
        self.config = config
        self.encoder = nn.ModuleList(nn.Conv2d(planes, width, 3, padding=1) for planes in inputs)
        self.decoder = nn.ModuleList(nn.Conv2d(2 * width, width, 3, padding=1) for _ in range(DEPTH - 2))
        self.head = nn.Conv2d(2 * width, config.iterations * config.channels, 3, padding=1)
        for layer in (*self.encoder, *self.decoder, self.head):
            nn.init.normal_(layer.weight, std=START_DEVIATION)
            nn.init.zeros_(layer.bias)

    def forward(self, images: PlainImages) -> PlainImages:
        """Brighten images of any size; same shape, within [0, 1] where ``images`` are."""
        return apply_curves(images, self.curves(images))

    def curves(self, images: PlainImages) -> Curves:
        """The curve parameters, iteration by iteration, the planes of each together."""
        features: FeatureMaps = images
        skips = []
        for layer in self.encoder:
            features = F.relu(layer(features))
            skips.append(features)
        features = skips.pop()
        for layer in self.decoder:
            features = F.relu(layer(torch.cat([skips.pop(), features], dim=1)))
        return torch.tanh(self.head(torch.cat([skips.pop(), features], dim=1)))

    def enhancement_stages(self, images: PlainImages) -> list[tuple[PlainImages, PlainImages, Curves]]:
        """What went in, what comes out, and the maps in between that should be smooth: for losses, one stage alone."""
        curves = self.curves(images)
        return [(images, apply_curves(images, curves), curves)]


def apply_curves(images: PlainImages, curves: Curves) -> PlainImages:
    """Bend every value by one curve after the other (eq. 3):  LE_n = LE_(n-1) + A_n LE_(n-1) (1 - LE_(n-1)).

    Args:
        images: (batch, planes, height, width), LE_0.
        curves: A_1, A_2, ..., each with as many maps as ``images`` has planes.

    Returns:
        The last LE, same shape as ``images``.

    Differs from the paper: no.
    """
    for alpha in torch.split(curves, images.shape[1], dim=1):
        images = images + alpha * images * (1 - images)
    return images
