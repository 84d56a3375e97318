"""Natural scene statistics of image patches: the 36 features of NIQE.

Mittal, Soundararajan, Bovik 2013, sections II.A and II.B. Moment-matching estimators: Sharifi, Leon-Garcia 1995, and
Lasmar, Stitou, Berthoumieu 2009.

- A natural photo, divided by its local contrast, has nearly Gaussian values; noise, blur and blocks change the shape
  of their distribution, and of the products of neighbours.
"""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["FEATURES", "PATCH_PX", "Asymmetric", "asymmetric_gaussian", "generalised_gaussian", "patch_features"]

FEATURES = 36
PATCH_PX = 96
WINDOW_PX, WINDOW_SIGMA_PX = 7, 7 / 6  # K = L = 3 in the paper's eq. 2, "sampled out to 3 standard deviations"
SHAPE_RANGE = (0.2, 10.0)

Planes = Float[Tensor, "batch height width"]
Rows = Float[Tensor, "*rows samples"]


class Asymmetric(NamedTuple):
    """An asymmetric generalised Gaussian (paper's eq. 8): shape, mean, scales left and right of the mode."""

    shape: Float[Tensor, "*rows"]
    mean: Float[Tensor, "*rows"]
    left: Float[Tensor, "*rows"]
    right: Float[Tensor, "*rows"]


def patch_features(
    luma: Planes,
) -> tuple[Float[Tensor, "batch patches 36"], Float[Tensor, "batch patches"]]:
    """Features and sharpness of every whole 96 x 96 patch, left to right, then top to bottom.

    Args:
        luma: values in [0, 255], float64 where the device has it; a rest that fills no patch is left out.

    Returns:
        18 features at full scale then 18 at half scale, nan or infinite where a patch is flat; and the mean local
        deviation (the paper's sharpness, eq. 11).

    Differs from the paper: no. Differs from the authors' code: neighbours are not taken from the opposite border of the
    patch; the values' own distribution is fitted as the symmetric one of eq. 4, not as an asymmetric one; estimates
    are interpolated, not rounded to a step of 0.001; luma is not rounded.
    """
    height, width = (size // PATCH_PX * PATCH_PX for size in luma.shape[-2:])
    luma = luma[:, :height, :width]
    full, deviation = _normalised(luma)
    half_size = (height // 2, width // 2)
    halved = F.interpolate(luma[:, None], size=half_size, mode="bicubic", antialias=True, align_corners=False)[:, 0]
    half, _ = _normalised(halved)
    features = [_describe(_patches(full, PATCH_PX)), _describe(_patches(half, PATCH_PX // 2))]
    return torch.cat(features, dim=-1), _patches(deviation, PATCH_PX).mean(dim=(-2, -1))


def generalised_gaussian(samples: Rows) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"]]:
    """Shape and scale (alpha, beta) of exp(-(|x| / beta)^alpha) for each row; alpha = 2 is a Gaussian.

    Sharifi, Leon-Garcia 1995: the shape at which (E|x|)^2 / E[x^2] = G(2/a)^2 / (G(1/a) G(3/a)).
    """
    variance = samples.square().mean(dim=-1)
    shape = _shape_for(samples.abs().mean(dim=-1).square() / variance)
    return shape, variance.sqrt() * _deviation_to_scale(shape)


def asymmetric_gaussian(samples: Rows) -> Asymmetric:
    """Moment-matching estimate for each row of samples whose two sides may differ.

    Lasmar et al. 2009; the mean is eq. 9 of Mittal et al.: (right - left) G(2/a) / G(1/a).
    """
    squares, negative, positive = samples.square(), samples < 0, samples > 0
    left = ((squares * negative).sum(dim=-1) / negative.sum(dim=-1)).sqrt()
    right = ((squares * positive).sum(dim=-1) / positive.sum(dim=-1)).sqrt()
    ratio = left / right
    skew = (ratio**3 + 1) * (ratio + 1) / (ratio.square() + 1).square()
    shape = _shape_for(samples.abs().mean(dim=-1).square() / squares.mean(dim=-1) * skew)
    scale = _deviation_to_scale(shape)
    left, right = left * scale, right * scale
    mean = (right - left) * (torch.lgamma(2 / shape) - torch.lgamma(1 / shape)).exp()
    return Asymmetric(shape, mean, left, right)


def _describe(patches: Float[Tensor, "batch patches side side"]) -> Float[Tensor, "batch patches 18"]:
    """Shape and scale of the values, then four parameters for the products with each of four neighbours."""
    products = (
        patches[..., :, :-1] * patches[..., :, 1:],
        patches[..., :-1, :] * patches[..., 1:, :],
        patches[..., :-1, :-1] * patches[..., 1:, 1:],
        patches[..., :-1, 1:] * patches[..., 1:, :-1],
    )
    features = [*generalised_gaussian(patches.flatten(-2))]
    for product in products:
        features.extend(asymmetric_gaussian(product.flatten(-2)))
    return torch.stack(features, dim=-1)


def _normalised(luma: Planes) -> tuple[Planes, Planes]:
    """Values minus local mean over local deviation + 1 (eqs. 1 to 3), and the local deviation, in levels."""
    offsets = torch.arange(WINDOW_PX, device=luma.device, dtype=luma.dtype) - WINDOW_PX // 2
    weights = (-0.5 * (offsets / WINDOW_SIGMA_PX) ** 2).exp()
    weights = weights / weights.sum()
    centre = luma.mean(dim=(-2, -1), keepdim=True)  # variances do not change, and float32 suffices
    values = F.pad((luma - centre)[:, None], [WINDOW_PX // 2] * 4, mode="replicate")
    moments = torch.cat([values, values.square()])
    moments = F.conv2d(F.conv2d(moments, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))[:, 0]
    mean, square = moments.chunk(2)
    deviation = (square - mean.square()).clamp_min(0.0).sqrt()
    return (luma - centre - mean) / (deviation + 1.0), deviation


def _patches(planes: Planes, side: int) -> Float[Tensor, "batch patches side side"]:
    return planes.unfold(1, side, side).unfold(2, side, side).flatten(1, 2)


def _moment_ratio(shape: Tensor) -> Tensor:
    """(E|x|)^2 / E[x^2] of a generalised Gaussian; rises with its shape."""
    return (2 * torch.lgamma(2 / shape) - torch.lgamma(1 / shape) - torch.lgamma(3 / shape)).exp()


def _deviation_to_scale(shape: Tensor) -> Tensor:
    return (0.5 * (torch.lgamma(1 / shape) - torch.lgamma(3 / shape))).exp()


@cache
def _shape_table() -> tuple[Tensor, Tensor]:
    """(ratio, shape) pairs in steps of 0.001, the paper's search grid; both rise."""
    shapes = torch.linspace(*SHAPE_RANGE, round((SHAPE_RANGE[1] - SHAPE_RANGE[0]) * 1000) + 1, dtype=torch.float64)
    return _moment_ratio(shapes), shapes


def _shape_for(ratio: Tensor) -> Tensor:
    """The shape whose moment ratio is ``ratio``, within ``SHAPE_RANGE``; nan stays nan."""
    ratios, shapes = (values.to(ratio) for values in _shape_table())
    above = torch.searchsorted(ratios, ratio.contiguous()).clamp(1, len(ratios) - 1)
    low, high = ratios[above - 1], ratios[above]
    fraction = ((ratio - low) / (high - low)).clamp(0.0, 1.0)
    return shapes[above - 1] + fraction * (shapes[above] - shapes[above - 1])
