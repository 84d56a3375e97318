"""The degradation network φ, from clean to degraded, learned anew for every image.

- Five kinds are learned (``build_degradation_model``): the authors' network of four convolutions, the same as a
  residual that starts as the identity, that with fewer channels, an affine map of colours, the factor and map of GDP.
  ``Levels`` are found in closed form.
- Input and output are images in [0, 1] nominally; nothing is clamped, so that gradients live outside the range too.
- Every kind keeps height and width and sees at most 7 px around a pixel: tone, colour, haze and noise, never blur.
"""

import itertools
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.tone import auto_levels
from restorekit.zeroair.config import DegradationKind

__all__ = [
    "ColourAffine",
    "Companions",
    "FactorAndMap",
    "FourConvolutions",
    "Levels",
    "OneImage",
    "Residual",
    "build_degradation_model",
    "initialise",
]

OneImage = Float[Tensor, "1 3 height width"]
"""An image of a run: sRGB in [0, 1]. φ belongs to one, whatever else is in the batch."""

Companions = Float[Tensor, "companions 3 height width"]
"""What φ is learned on: the estimate of that image first, then other clean images; or what φ makes of them."""


OFFICIAL_WIDTHS = (64, 128, 256)
"""371 587 parameters; 24.3 GMAC at 256x256."""

SMALL_WIDTHS = (16, 32, 32)
"""14 435 parameters; 0.94 GMAC at 256x256."""


class FourConvolutions(nn.Module):
    """The authors' φ: 3x3 to three widths with leaky ReLU between, then 1x1 to 3.

    Args:
        widths: channels of the three; the authors' by default.
    """

    def __init__(self, widths: tuple[int, int, int] = OFFICIAL_WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, outside in itertools.pairwise((3, *widths)):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 1))

    @property
    def last(self) -> nn.Conv2d:
        """The 1x1 convolution at the end."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, clean: Images) -> Images:
        """(batch, 3, height, width) to the same shape."""
        degraded: Images = self.layers(clean)
        return degraded


class Residual(nn.Module):
    """φ(x) = x + f(x), with f the authors' network and its last layer zero at first: it starts as the identity.

    Differs from the paper: theirs starts as a random map of colours, whose guidance the warm-up has to outlast.

    Args:
        widths: channels of f.
    """

    def __init__(self, widths: tuple[int, int, int] = OFFICIAL_WIDTHS) -> None:
        super().__init__()
        self.change = FourConvolutions(widths)

    def forward(self, clean: Images) -> Images:
        """(batch, 3, height, width) to the same shape."""
        change: Images = self.change(clean)
        return clean + change


class ColourAffine(nn.Module):
    """φ(x) = A x + b at every pixel alike; 12 numbers, at first the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.empty(3, 3))
        self.offset = nn.Parameter(torch.empty(3))

    def forward(self, clean: Images) -> Images:
        """(batch, 3, height, width) to the same shape."""
        return torch.einsum("oc,bchw->bohw", self.matrix, clean) + self.offset[:, None, None]


class FactorAndMap(nn.Module):
    """φ(x) = f x + M, one factor f and one offset per value; at first the identity.

    Fei et al. 2023, "Generative Diffusion Prior for Unified Image Restoration and Enhancement" (arXiv:2304.01247),
    eq. 5. Differs from the paper: here Adam learns f and M, theirs takes plain gradient steps.

    Args:
        height, width: of the one image it belongs to, in px.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.empty(1))
        self.map = nn.Parameter(torch.empty(3, height, width))

    def forward(self, clean: Images) -> Images:
        """(batch, 3, height, width) to the same shape."""
        return self.factor * clean + self.map


class Levels(nn.Module):
    """φ(x) = x / gain + black, as ``auto_levels`` of the degraded image says; the identity for most photos.

    Ours. It cannot drift in its colours, as a φ learned by adversarial losses does beside a small prior, and it costs
    nothing; it knows no colour cast, no noise, and no tone curve but a straight line.

    Args:
        degraded: the image.
    """

    factor: Tensor
    black: Tensor

    def __init__(self, degraded: OneImage) -> None:
        super().__init__()
        gain, black, _ = auto_levels(degraded)[:, 0].unbind(dim=1)
        self.register_buffer("factor", torch.exp(-gain).to(degraded.dtype))
        self.register_buffer("black", black.to(degraded.dtype))

    def forward(self, clean: Images) -> Images:
        """(batch, 3, height, width) to the same shape."""
        degraded: Images = self.factor * clean + self.black
        return degraded

    def inverse(self, degraded: Images) -> Images:
        """The clean images that give these; nothing is clamped."""
        clean: Images = (degraded - self.black) / self.factor
        return clean


def build_degradation_model(kind: DegradationKind, *, like: OneImage) -> nn.Module:
    """φ of a kind that is learned, for an image like this, without values yet: ``initialise`` gives them.

    Draws no random number.
    """
    with torch.device("meta"):
        kinds: dict[DegradationKind, Callable[[], nn.Module]] = {
            "residual": Residual,
            "small": partial(Residual, SMALL_WIDTHS),
            "cnn": FourConvolutions,
            "affine": ColourAffine,
            "map": partial(FactorAndMap, *like.shape[-2:]),
        }
        model = kinds[kind]()
    return model.to(like.dtype).to_empty(device=like.device)


@torch.no_grad()
def initialise(network: nn.Module, *, generator: torch.Generator) -> None:
    """Fresh values in place: Kaiming-normal convolutions with zero biases, and identities for the other kinds.

    Random numbers come from ``generator`` in the order of the layers, on the generator's device.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            _kaiming(module.weight, generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, ColourAffine):
            module.matrix.copy_(torch.eye(3))
            module.offset.zero_()
        elif isinstance(module, FactorAndMap):
            module.factor.fill_(1.0)
            module.map.zero_()
    for module in network.modules():
        if isinstance(module, Residual):
            module.change.last.weight.zero_()


def _kaiming(weight: Tensor, generator: torch.Generator) -> None:
    fresh = torch.empty(weight.shape, dtype=weight.dtype, device=generator.device)
    weight.copy_(nn.init.kaiming_normal_(fresh, generator=generator))
