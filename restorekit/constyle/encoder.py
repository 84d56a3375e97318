"""The ConStyle encoder: from a degraded image to three feature maps and one code.

Fan et al. 2024, ConStyle (arXiv:2402.15784). The published width has 1,190,832 parameters.

- The maps are local (each value sees ``MAP_RADIUS_PX`` px around it), so a tile with a halo has the maps of the whole.
  The code is global: it is computed once for the whole image.
- ``parity="official"`` normalises codes by the statistics of the batch: images of one batch change each other's codes,
  and a batch of one cannot be trained. ``"fixed"`` uses LayerNorm, with as many parameters.
- ``freeze`` lasts: a frozen encoder stays in evaluation mode whatever ``train()`` is told.
"""

from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images

__all__ = ["CODE_SIZE", "LAST_RADIUS_PX", "MAP_RADIUS_PX", "Code", "ConStyleEncoder", "Maps", "Parity", "Style"]

Parity = Literal["official", "fixed"]
"""official: as the authors' release computes; fixed: without its defects."""

CODE_SIZE = 128
"""Values of a code, at every width."""

MAP_RADIUS_PX = 15
"""How far, in px, an input pixel can lie from the centre of a map's value that it changes."""

LAST_RADIUS_PX = 31
"""The same for ``ConStyleEncoder.last_map``."""

SLOPE = 0.1
"""Of LeakyReLU below zero."""

Code = Float[Tensor, "batch 128"]
"""What is remembered of a whole image; any range."""

HalfMaps = Float[Tensor, "batch half_channels half_height half_width"]
QuarterMaps = Float[Tensor, "batch quarter_channels quarter_height quarter_width"]
EighthMaps = Float[Tensor, "batch eighth_channels eighth_height eighth_width"]
Maps = tuple[HalfMaps, QuarterMaps, EighthMaps]
"""Features at a half, a quarter and an eighth of the image's height and width."""

LastMaps = Float[Tensor, "batch pooled last_height last_width"]
"""Features at a sixteenth, rounded up; their mean over the image is what the heads read."""


class Style(NamedTuple):
    """What the encoder says of a batch of images."""

    code: Code
    """Of the second head: what guides the U-Net and what the losses compare ("q")."""
    early_code: Code
    """Of the first head: used by the release's style loss alone."""
    maps: Maps
    """(batch, 2w, h/2, w/2), (batch, 4w, h/4, w/4), (batch, 8w, h/8, w/8) at width w: 32, 64, 128 channels at 16."""


class ConStyleEncoder(nn.Module):
    """Nine 3x3 convolutions in four stages, the mean over the image, and two heads.

    Every stage halves height and width in its last convolution; no convolution has a bias, all are followed by
    LeakyReLU, and the trunk has no normalisation. Heads: linear, normalisation, GELU.

    Args:
        parity: "official": BatchNorm heads, PyTorch's own initialisation of the trunk. "fixed": LayerNorm heads, and
            He initialisation, without which the images of a fresh encoder differ less than the epsilon of the norm.
        width: channels at full resolution; all stages scale with it. 16 as published.

    Differs from the paper: "fixed" does, as said above; "official" does not differ from the authors' code.
    """

    def __init__(self, parity: Parity = "fixed", width: int = 16) -> None:
        super().__init__()
        self.parity = parity
        self.width = width
        self.frozen = False
        self.stages = nn.ModuleList(
            (
                nn.Sequential(*_convolution(3, width), *_convolution(width, width), *_halving(width, 2 * width)),
                nn.Sequential(*_convolution(2 * width, 2 * width), *_halving(2 * width, 4 * width)),
                nn.Sequential(*_convolution(4 * width, 8 * width), *_halving(8 * width, 8 * width)),
                nn.Sequential(*_convolution(8 * width, 16 * width), *_halving(16 * width, 16 * width)),
            )
        )
        self.early_head = _head(16 * width, parity)
        self.head = _head(CODE_SIZE, parity)
        if parity == "fixed":
            for module in self.stages.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, a=SLOPE, nonlinearity="leaky_relu")

    def forward(self, images: Images) -> Style:
        """Maps and codes of images whose height and width are multiples of 8."""
        maps = self.feature_maps(images)
        early_code, code = self.codes(self.last_map(maps).mean(dim=(2, 3)))
        return Style(code, early_code, maps)

    def feature_maps(self, images: Images) -> Maps:
        """The local part: what the U-Net concatenates. Exact for a tile with a halo of ``MAP_RADIUS_PX``."""
        half: HalfMaps = self.stages[0](images)
        quarter: QuarterMaps = self.stages[1](half)
        eighth: EighthMaps = self.stages[2](quarter)
        return half, quarter, eighth

    def code_of(self, images: Images) -> Code:
        """The global part: one code for each whole image."""
        return self.codes(self.last_map(self.feature_maps(images)).mean(dim=(2, 3)))[1]

    def last_map(self, maps: Maps) -> LastMaps:
        """(batch, 16w, ceil(h/16), ceil(w/16)); its mean over the whole image is what the heads read.

        A sum over the cells of tiles (with a halo of ``LAST_RADIUS_PX``, cut at multiples of 16 px) gives the same
        mean, so that the exact code of an image of any size needs the memory of one tile.
        """
        last: LastMaps = self.stages[3](maps[2])
        return last

    def codes(self, pooled: Float[Tensor, "batch pooled"]) -> tuple[Code, Code]:
        """The early code and the code of the mean of ``last_map``."""
        early_code: Code = self.early_head(pooled)
        code: Code = self.head(early_code)
        return early_code, code

    def freeze(self) -> None:
        """Never change again: no gradients (those at hand are dropped, so no optimiser moves it), no statistics.

        Differs from the authors' code: theirs keeps gradients of zero, on which AdamW still decays and moves weights,
        and leaves BatchNorm in training mode.
        """
        self.frozen = True
        self.eval()
        for parameter in self.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None

    def train(self, mode: bool = True) -> "ConStyleEncoder":
        """The mode of every part, unless frozen."""
        return super().train(mode and not self.frozen)


def _convolution(channels: int, out: int, *, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
    return convolution, nn.LeakyReLU(SLOPE, inplace=True)


def _halving(channels: int, out: int) -> tuple[nn.Module, nn.Module]:
    return _convolution(channels, out, stride=2)


def _head(inputs: int, parity: Parity) -> nn.Sequential:
    norm = nn.BatchNorm1d(CODE_SIZE) if parity == "official" else nn.LayerNorm(CODE_SIZE)
    return nn.Sequential(nn.Linear(inputs, CODE_SIZE), norm, nn.GELU())
