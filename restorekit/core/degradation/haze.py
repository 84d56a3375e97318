"""Haze by the atmospheric scattering model, over a plausible depth made from the image itself."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate

from restorekit.core.degradation.base import DegradationTerm, Params, column
from restorekit.core.degradation.fields import generators
from restorekit.core.degradation.settings import Span, span
from restorekit.core.image.convention import Images

__all__ = ["Haze", "plausible_depth"]

Maps = Float[Tensor, "batch 1 _ _"]
"""One number per px: a depth, or what it is made of; at the image's size or a smaller one."""

COARSE_PX = 64
"""Depth is made on at most this many rows and columns, then sharpened along the image's own edges."""
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Haze(DegradationTerm):
    """Koschmieder's law as Narasimhan & Nayar 2002 use it: degraded = clean * t + A (1 - t), t = exp(-beta d).

    The depth d comes from ``plausible_depth``, which looks at the image: it is a constant for the gradient.

    Differs from the paper: applied to sRGB-encoded values, as the RESIDE sets are; d is invented, not measured.
    """

    name: ClassVar[str] = "haze"
    seeded: ClassVar[bool] = True

    beta: Span = span("0.3..1.8", low=0, high=10, help="scattering as far as the farthest point, where t = exp(-beta)")
    airlight: Span = span("0.75..1", low=0, high=1, help="A, the light of the haze itself")
    tint: Span = span("0..0.02", low=0, high=0.5, help="deviation of A between the colour channels")
    relief: Span = span("0.4..0.9", low=0, high=1, help="depth range in the picture: d is 1 - relief to 1")

    def _degrade(self, clean: Images, params: Params) -> Images:
        transmission = torch.exp(-column(params["beta"], clean) * self.depth(clean, params))
        return clean * transmission + self.airlight_colour(params).to(clean.device) * (1.0 - transmission)

    def depth(self, clean: Images, params: Params) -> Maps:
        """The depth d used for ``clean``, between 1 - relief (near) and 1 (far)."""
        return 1.0 - column(params["relief"], clean) * (1.0 - plausible_depth(clean, params["seed"]))

    def airlight_colour(self, params: Params) -> Float[Tensor, "batch 3 1 1"]:
        """The colour A of the haze, in [0, 1]: ``airlight``, slightly tinted between blue and yellow."""
        warmth = [torch.randn((), generator=generator).item() for generator in generators(params["seed"])]
        tint = (params["tint"] * torch.tensor(warmth).clamp(-2, 2))[:, None] * torch.tensor([1.0, 0.0, -1.0])
        return (params["airlight"][:, None] + tint).clamp(0.0, 1.0)[:, :, None, None]


@torch.no_grad()
def plausible_depth(images: Images, seeds: Int64[Tensor, "batch"]) -> Maps:
    """A depth in [0, 1], 1 the farthest, that looks as if it belonged to the image; no network, no gradient.

    A random mixture of three maps, each of mean 0 and deviation 1:

    - a ramp, usually rising towards the top of the picture;
    - a smooth random field;
    - a random weighting of the image's blurred colours, so that regions of one colour lie at one distance.

    The mixture is then refined by a guided filter (He & Sun 2015, arXiv:1505.00996, the fast form) with the image's
    luma as its guide, so that it steps where the image does.
    """
    size = (min(images.shape[-2], COARSE_PX), min(images.shape[-1], COARSE_PX))
    small = adaptive_avg_pool2d(images, size)
    weights, fields, shape = _draw_maps(seeds, images.device)
    ramp = _standardised(_ramps(fields["direction"], size))
    smooth = _standardised(interpolate(fields["knots"], size, mode="bicubic", align_corners=True))
    colours = _standardised((_box(small, 2) * fields["projection"]).sum(dim=1, keepdim=True))
    mixture = (weights[..., None, None] * torch.cat([ramp, smooth, colours], dim=1)).sum(dim=1, keepdim=True)
    depth, low, high = _guided(mixture, small, images)
    unit = ((depth - low) / (high - low).clamp_min(1e-6)).clamp(0.0, 1.0)
    return unit ** shape[:, None, None, None]


def _draw_maps(
    seeds: Int64[Tensor, "batch"], device: torch.device
) -> tuple[Float[Tensor, "batch 3"], dict[str, Tensor], Float[Tensor, "batch"]]:
    """Everything random: weights of the three maps, what they are made of, and the exponent of the depth."""
    drawn = []
    for generator in generators(seeds):
        torch.randn((), generator=generator)  # the tint's
        numbers = torch.rand(5, generator=generator)
        drawn.append(
            (
                numbers[:3] * torch.tensor([1.5, 0.7, 1.2]),
                0.7 * torch.randn((), generator=generator),
                torch.randn(1, 5, 5, generator=generator),
                torch.randn(3, 1, 1, generator=generator),
                0.6 + 1.2 * numbers[3],
            )
        )
    weight, direction, knots, projection, exponent = (torch.stack(p).to(device) for p in zip(*drawn, strict=True))
    fields = {"direction": direction, "knots": knots, "projection": projection}
    return weight, fields, exponent


def _ramps(direction: Float[Tensor, "batch"], size: tuple[int, int]) -> Maps:
    """Planes that rise in ``direction`` (radians from up)."""
    device = direction.device
    rows = torch.linspace(-1, 1, size[0], device=device)[:, None]
    columns = torch.linspace(-1, 1, size[1], device=device)[None]
    up, right = (part[:, None, None] for part in (torch.cos(direction), torch.sin(direction)))
    return (right * columns - up * rows)[:, None]


def _standardised(maps: Maps) -> Maps:
    centred = maps - maps.mean(dim=(-2, -1), keepdim=True)
    return centred / centred.square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp_min(1e-3)


def _box(maps: Tensor, radius: int) -> Tensor:
    """Mean over a square of side 2 radius + 1; only px inside the image count."""
    side = 2 * radius + 1
    rows = avg_pool2d(maps, (side, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    return avg_pool2d(rows, (1, side), stride=1, padding=(0, radius), count_include_pad=False)


def _guided(
    mixture: Maps, small: Float[Tensor, "batch 3 _ _"], images: Images, *, radius: int = 4
) -> tuple[Maps, Maps, Maps]:
    """``mixture`` refined along the luma's edges, at full size, with its lowest and highest value at small size."""
    luma = torch.tensor(LUMA, device=images.device)[:, None, None]
    guide, fine = ((picture * luma).sum(dim=1, keepdim=True) for picture in (small, images))
    mean_guide, mean_mixture = _box(guide, radius), _box(mixture, radius)
    covariance = _box(guide * mixture, radius) - mean_guide * mean_mixture
    variance = _box(guide * guide, radius) - mean_guide.square()
    slope = covariance / (variance + 0.02**2)
    slope, level = _box(slope, radius), _box(mean_mixture - slope * mean_guide, radius)
    coarse = slope * guide + level
    low, high = (torch.quantile(coarse.flatten(1), q, dim=1)[:, None, None, None] for q in (0.01, 0.99))
    slope, level = (interpolate(m, images.shape[-2:], mode="bilinear", align_corners=False) for m in (slope, level))
    return slope * fine + level, low, high
