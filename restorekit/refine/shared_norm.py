"""Instance normalisation that can be told what the whole image's mean and variance are.

Ulyanov, Vedaldi, Lempitsky 2016 (arXiv:1607.08022): y = (x - mean) / sqrt(var + eps) * weight + bias, mean and variance
over all pixels of an image and channel. A tile cannot know them; ``Moments`` brings them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.refine.shapes import Features

__all__ = ["Moments", "SharedInstanceNorm", "at_least_float32", "merge"]

EPS = 1e-5


@dataclass(frozen=True)
class Moments:
    """Mean and (biased) variance of each channel of each image, and of how many pixels."""

    mean: Float[Tensor, "batch channels"]
    variance: Float[Tensor, "batch channels"]
    pixels: int

    @classmethod
    def of(cls, features: Features) -> "Moments":
        """Those of one piece of an image, in float32 at least."""
        values = at_least_float32(features)
        mean = values.mean(dim=(2, 3))
        variance = (values - _as_map(mean, values)).square().mean(dim=(2, 3))  # torch.var_mean takes ten times as long
        return cls(mean, variance, features.shape[2] * features.shape[3])


def merge(pieces: Iterable[Moments]) -> Moments:
    """The moments of an image from those of its pieces, one at a time, without cancellation.

    Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".

    Differs from the paper: no.
    """
    iterator = iter(pieces)
    total = next(iterator)
    for piece in iterator:
        pixels = total.pixels + piece.pixels
        share = piece.pixels / pixels
        step = piece.mean - total.mean
        spread = total.variance + share * (piece.variance - total.variance) + share * (1 - share) * step.square()
        total = Moments(total.mean + share * step, spread, pixels)
    return total


class SharedInstanceNorm(nn.Module):
    """Instance normalisation with a scale and a shift for each channel.

    Args:
        channels: how many.

    Differs from the paper: no.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Features, moments: Moments | None = None) -> Features:
        """Normalise with the features' own moments, or with those given; same shape."""
        if moments is None:
            return F.instance_norm(features, weight=self.weight, bias=self.bias, eps=EPS)
        scale, shift = self._line(moments)
        return torch.addcmul(_as_map(shift, features), features, _as_map(scale, features))

    def apply_(self, features: Features, moments: Moments) -> Features:
        """The same, written over the features, where no gradient is wanted."""
        scale, shift = self._line(moments)
        return features.mul_(_as_map(scale, features)).add_(_as_map(shift, features))

    def _line(self, moments: Moments) -> tuple[Float[Tensor, "batch channels"], Float[Tensor, "batch channels"]]:
        """Scale and shift of every channel."""
        scale = self.weight * torch.rsqrt(moments.variance + EPS)
        return scale, self.bias - moments.mean * scale


def at_least_float32(values: Tensor) -> Tensor:
    """Sums over many pixels need it; float32 and float64 stay as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _as_map(values: Float[Tensor, "batch channels"], like: Tensor) -> Float[Tensor, "batch channels 1 1"]:
    return values.to(like.dtype)[:, :, None, None]
