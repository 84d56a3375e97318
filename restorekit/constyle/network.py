"""What ships of ConStyle: the encoder and the U-Net that listens to it; no momentum encoder, no queue.

- With maps and code both off there is nothing to listen to, so there is no encoder: the plain U-Net of the same layout,
  for fair comparisons.
- Ours: a tone curve may come first, for low light and haze, which the U-Net alone learns hardly at all.
"""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from restorekit.constyle.config import AnyUNetConfig, UNetConfig
from restorekit.constyle.description import DESCRIBED
from restorekit.constyle.encoder import CODE_SIZE, Code, ConStyleEncoder, Parity, Style
from restorekit.core.networks.base import NetworkConfig, PlainImages
from restorekit.core.networks.tone import Curves, Toner, apply_curves, evenly_taught

__all__ = ["CELL_PX", "ConStyleNetwork", "ConStyleNetworkConfig", "Survey"]

VEILED, STEEPNESS = 0.93, 15.0
"""Described contrast at which half of a veil is removed at first, and how soon all or none of it is."""

CELL_PX = 16
"""The encoder's last features are one for each 16 x 16 px; their mean is what the code is made of."""


class Survey(NamedTuple):
    """What the tiles of a photo need to know of the whole."""

    code: Code | None
    """None where the U-Net does not ask for it."""
    curves: Curves | None
    """Tone curves; None for a network without."""


class ConStyleNetworkConfig(NetworkConfig):
    """Encoder and U-Net of any size; the defaults are the paper's ConStyle-NAFNet (12,739,872 parameters)."""

    summary: ClassVar[str] = "ConStyle (Fan et al. 2024): an encoder tells a U-Net how the image is degraded."

    unet: AnyUNetConfig = Field(default=UNetConfig())
    """The network that restores, and what it hears: ``use_maps``, ``use_code``."""
    parity: Parity = "fixed"
    """official: the encoder of the authors' release, BatchNorm heads included."""
    tones: bool = False
    """Whether a tone curve for the whole photo comes before the U-Net; the encoder sees the photo as it is."""
    tones_hear_code: bool = False
    """Whether that curve hears the code, where the U-Net does (``unet.use_code``)."""

    def build(self) -> "ConStyleNetwork":
        """The network with fresh weights."""
        return ConStyleNetwork(self)

    @property
    def listens(self) -> bool:
        """Whether there is an encoder at all."""
        return self.unet.use_maps or self.unet.use_code

    @property
    def planes(self) -> tuple[int, int]:
        """RGB."""
        return 3, 3

    @property
    def multiple_of(self) -> int:
        """That of the U-Net, and whole cells of the encoder, so that its code can be summed up tile by tile."""
        return max(self.unet.multiple_of, CELL_PX if self.listens else 1)

    @property
    def receptive_field_px(self) -> int | None:
        """That of the U-Net with its maps, the code taken as given."""
        return self.unet.receptive_field_px


class ConStyleNetwork(nn.Module):
    """Encoder, then U-Net.

    Args:
        config: both of them.
    """

    def __init__(self, config: ConStyleNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ConStyleEncoder(config.parity, config.unet.encoder_width) if config.listens else None
        self.unet = config.unet.build()
        told = CODE_SIZE if config.tones_hear_code and config.unet.use_code else 0
        self.toner = Toner(told, levels=True) if config.tones else None
        if self.toner is not None and told:
            _hear_contrast(self.toner)

    def forward(self, images: PlainImages) -> PlainImages:
        """Restore whole images whose sizes are multiples of ``config.multiple_of``; same shape, unclamped."""
        return self.restore(images, self.encoder(images) if self.encoder is not None else None)

    def restore(
        self, images: PlainImages, style: Style | None, *, photos: Float[Tensor, "batch 3 rows columns"] | None = None
    ) -> PlainImages:
        """Restore images given what the encoder said of them; None where there is no encoder.

        Args:
            images: sizes are multiples of ``config.multiple_of``.
            style: of them.
            photos: what they were cut from, or views of it, for the tone curves; None: they are whole.
        """
        code, maps = (style.code, style.maps) if style is not None else (None, None)
        curves = self.curves_of(images if photos is None else photos, code)
        restored: PlainImages = self.unet(self._toned(images, curves), code, maps)
        return restored

    def restore_tile(self, images: PlainImages, survey: Survey) -> PlainImages:
        """Restore tiles, given the survey of the whole image they come from; maps are local and found here."""
        maps = self.encoder.feature_maps(images) if self.encoder is not None and self.config.unet.use_maps else None
        restored: PlainImages = self.unet(self._toned(images, survey.curves), survey.code, maps)
        return restored

    def curves_of(self, photos: PlainImages, code: Code | None) -> Curves | None:
        """The tone curves of whole photos, or of smaller views of them, and their code; None for a network without."""
        if self.toner is None:
            return None
        return evenly_taught(self.toner(photos, code), photos)

    def _toned(self, images: PlainImages, curves: Curves | None) -> PlainImages:
        return images if curves is None else apply_curves(images, curves)


@torch.no_grad()
def _hear_contrast(toner: Toner) -> None:
    """Start with the contrast that the code describes, once it has learned to: what has all of it wears no veil."""
    assert toner.share is not None
    place = 2 * DESCRIBED.index("contrast")
    toner.share.weight[0, place], toner.share.weight[0, place + 1] = -STEEPNESS, STEEPNESS
    toner.share.bias.fill_(VEILED * STEEPNESS)
