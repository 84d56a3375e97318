"""Losses that need no bright photo: what a network makes of a dark one is judged by itself and by the dark one.

Zero-DCE (Guo et al. 2020, arXiv:2001.06826), SCI (Ma et al. 2022, arXiv:2204.10137), RUAS (Liu et al. 2021,
arXiv:2012.05609). EnlightenGAN's, which learns from bright photos of anything else, is in ``training.enlightengan``.

- Some judge more than the result: curves, an illumination, several stages. A network offers these by its method
  ``enhancement_stages``. For other networks, and for a result refined afterwards, what is missing is derived or left
  out, see ``Stage``. So Zero-DCE and SCI train their own networks as published, RUAS a stand-in.
- Every loss is a mean over pixels and images: neither the size of a crop nor that of a batch changes its scale.
"""

from collections.abc import Callable, Iterator, Sequence
from types import EllipsisType
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.colour import luma_full
from restorekit.core.image.convention import Images
from restorekit.core.networks.base import FeatureMaps
from restorekit.errors import UsageError, did_you_mean

__all__ = [
    "LOSSES",
    "Loss",
    "Stage",
    "StagedNetwork",
    "UnsupervisedLoss",
    "UnsupervisedName",
    "colour_constancy",
    "edge_aware_smoothness",
    "exposure",
    "illumination_fidelity",
    "illumination_smoothness",
    "spatial_consistency",
    "stages_of",
    "total_variation",
]

Loss = Float[Tensor, ""]
"""At least 0, without unit."""

UnsupervisedName = Literal["zero_dce", "sci", "ruas"]
"""The keys of ``LOSSES``."""

REGION_PX = 16  # exposure is judged in squares of this side (Zero-DCE, section 3.3)
WELL_EXPOSED = 0.6  # brightness of a region that costs nothing (section 3.3)
BLOCK_PX = 4  # contrast is compared between squares of this side (section 3.3)
SIMILAR = 0.1  # distance in YUV at which two pixels hardly belong together (SCI, section 3.3)
REACH = 2  # px: neighbours in a window of 5x5 (section 3.3)
BLACK = 1 / 255  # keeps a derived illumination finite and steady where nothing was recorded


class Stage(NamedTuple):
    """What a loss judges; a network that works in stages has several."""

    degraded: Images
    """What went in; nominally in [0, 1]."""
    restored: Images
    """What came out."""
    maps: FeatureMaps | None = None
    """What is in between and should be smooth: the curves of Zero-DCE, the illumination of SCI. None where the network
    has none, and then Zero-DCE's smoothness is left out."""

    @property
    def illumination(self) -> FeatureMaps:
        """The maps, if they are one; else what the result says (Retinex): degraded = restored x illumination."""
        if self.maps is not None and self.maps.shape == self.degraded.shape:
            return self.maps
        return (self.degraded + BLACK) / (self.restored + BLACK)


@runtime_checkable
class StagedNetwork(Protocol):
    """A network that shows more than its result."""

    def enhancement_stages(self, images: Images) -> Sequence[tuple[Tensor, Tensor, Tensor]]:
        """Input, result and maps of each stage; the first stage's result is the network's."""
        ...


def stages_of(network: nn.Module, degraded: Images) -> list[Stage]:
    """Run a network and keep what losses judge, in float32.

    Args:
        network: from images to images of the same shape; a ``StagedNetwork`` or any other.
        degraded: (batch, 3, height, width) in [0, 1].

    Returns:
        The network's stages; for other networks one without maps. The first one's ``restored`` is the network's result.
    """
    if isinstance(network, StagedNetwork):
        return [Stage(*(part.float() for part in parts)) for parts in network.enhancement_stages(degraded)]
    return [Stage(degraded, network(degraded).float())]


class UnsupervisedLoss:
    """One of the methods' losses, summed over stages.

    For a result that is no network's own, such as a refined one, give ``[Stage(degraded, refined)]``.

    Args:
        name: a key of ``LOSSES``.

    Raises:
        UsageError: no loss of that name.
    """

    def __init__(self, name: str) -> None:
        if name not in LOSSES:
            raise UsageError(f"loss: expected one of {', '.join(LOSSES)}, got {name!r}" + did_you_mean(name, LOSSES))
        self.name = name

    def __call__(self, stages: Sequence[Stage]) -> Loss:
        """The sum over the stages of a batch."""
        return torch.stack([LOSSES[self.name](stage) for stage in stages]).sum()


def exposure(restored: Images) -> Loss:
    """How far regions are from being well exposed.

    Zero-DCE, eq. 5:  L_exp = 1/M sum_k |Y_k - E|^2, over M squares of 16x16 px, Y_k their mean, E = 0.6.

    Differs from the paper: the square is the authors' code's. Images below 16 px are one region.
    """
    return (_block_means(restored, REGION_PX) - WELL_EXPOSED).square().mean()


def colour_constancy(restored: Images) -> Loss:
    """How far the mean colour is from gray.

    Zero-DCE, eq. 6:  L_col = sum over (p, q) in {(R,G), (R,B), (G,B)} of (J_p - J_q)^2, J the mean of a plane.

    Differs from the paper: no. The authors' code has the root of the sum of fourth powers.
    """
    red, green, blue = restored.mean(dim=(2, 3)).unbind(1)
    return ((red - green).square() + (red - blue).square() + (green - blue).square()).mean()


def spatial_consistency(restored: Images, degraded: Images) -> Loss:
    """How much the contrast between neighbouring blocks has changed.

    Zero-DCE, eq. 4:  L_spa = 1/K sum_i sum_(j next to i) (|Y_i - Y_j| - |I_i - I_j|)^2, over K squares of 4x4 px; Y and
    I are their means in ``restored`` and ``degraded``, next to i are the four blocks around it.

    Differs from the paper: no; blocks at the border have fewer neighbours. The authors' code takes differences with
    their sign, and black beyond the border.
    """
    bright, dark = _block_means(restored, BLOCK_PX), _block_means(degraded, BLOCK_PX)
    changes = [(bright.diff(dim=axis).abs() - dark.diff(dim=axis).abs()).square() for axis in (2, 3)]
    blocks = bright.shape[0] * bright.shape[2] * bright.shape[3]
    return 2 * sum((change.sum() for change in changes), torch.zeros_like(bright.sum())) / blocks  # i, j and j, i


def illumination_smoothness(curves: FeatureMaps) -> Loss:
    """How much curves change from pixel to pixel.

    Zero-DCE, eq. 7:  L_tv = 2 sum_n sum_c (|dx A_n^c|^2 + |dy A_n^c|^2), over all iterations n and colour planes c; dx
    and dy are differences to the next pixel, each averaged over the pixels that have it.

    Args:
        curves: (batch, maps, height, width), a map for each iteration and plane.

    Differs from the paper: it has (|dx| + |dy|)^2 and divides by N; this is the authors' code's form.
    """
    return curves.shape[1] * total_variation(curves)


def illumination_fidelity(illumination: FeatureMaps, degraded: Images) -> Loss:
    """How far illumination is from the image it was estimated from.

    SCI, section 3.3:  L_f = ||x_t - v_(t-1)||^2 of a stage. Differs from the paper: a mean, as in the authors' code.
    """
    return F.mse_loss(illumination, degraded)


def edge_aware_smoothness(illumination: FeatureMaps, degraded: Images) -> Loss:
    """How much illumination changes where the image does not.

    SCI, section 3.3:  L_s = sum_i sum_(j in N(i)) w_ij |x_i - x_j|,  w_ij = exp(-|v_i - v_j|^2 / (2 sigma^2)), over
    the 24 neighbours in a window of 5x5 px, v in YUV, sigma = 0.1.

    Args:
        illumination: x, (batch, planes, height, width); |.| sums over its planes.
        degraded: v, what it was estimated from.

    Differs from the paper: for each of the 24 neighbours it is a mean over the pixels that have it, as in the authors'
    code. That code has sigma = 10, with which all weights are almost one.
    """
    chroma = _yuv(degraded)
    losses = []
    for first, second in _neighbour_pairs(*illumination.shape[2:]):
        distance = (chroma[first] - chroma[second]).square().sum(dim=1, keepdim=True)
        weight = torch.exp(-distance / (2 * SIMILAR**2))
        losses.append((weight * (illumination[first] - illumination[second]).abs()).sum(dim=1).mean())
    return 2 * torch.stack(losses).sum()  # each pair from both sides


def total_variation(maps: FeatureMaps) -> Loss:
    """Squared differences to the next pixel, twice the mean of each direction, as in the authors' code of RUAS."""
    return 2 * (maps.diff(dim=2).square().mean() + maps.diff(dim=3).square().mean())


def _zero_dce(stage: Stage) -> Loss:
    """L_spa + 10 L_exp + 5 L_col + 200 L_tv (Zero-DCE, eq. 8).

    Differs from the paper: forms of L_exp and L_tv and weights are the authors' code's. The paper's, with weights
    1, 1, 0.5 and 20, brighten little and leave halos in a short training.
    """
    loss = spatial_consistency(stage.restored, stage.degraded) + 10 * exposure(stage.restored)
    loss = loss + 5 * colour_constancy(stage.restored)
    return loss if stage.maps is None else loss + 200 * illumination_smoothness(stage.maps)


def _sci(stage: Stage) -> Loss:
    """1.5 L_f + L_s (SCI, section 3.3, as in the authors' code)."""
    light = stage.illumination
    return 1.5 * illumination_fidelity(light, stage.degraded) + edge_aware_smoothness(light, stage.degraded)


def _ruas(stage: Stage) -> Loss:
    """0.5 L_f + L_s for the illumination, and total variation for what removes noise, as in the authors' code.

    Differs from that code: one network learns from both, smoothness is that of SCI's paper, and a fidelity of weight
    1e-7 is left out.
    """
    light = stage.illumination
    loss = 0.5 * illumination_fidelity(light, stage.degraded) + edge_aware_smoothness(light, stage.degraded)
    return loss + total_variation(stage.restored)


LOSSES: dict[str, Callable[[Stage], Loss]] = {
    "zero_dce": _zero_dce,
    "sci": _sci,
    "ruas": _ruas,
}
"""Name of the loss to its function of one stage."""


def _block_means(images: Images, side_px: int) -> Float[Tensor, "batch 1 rows columns"]:
    """Means over colours and whole squares; an image smaller than one is one block."""
    sides = [min(side_px, side) for side in images.shape[2:]]
    return F.avg_pool2d(images.mean(dim=1, keepdim=True), sides)


def _yuv(images: Images) -> Images:
    """BT.601 luma and the two scaled colour differences, 0.492 (B - Y) and 0.877 (R - Y)."""
    luma = luma_full(images)
    return torch.cat([luma, 0.492 * (images[:, 2:] - luma), 0.877 * (images[:, :1] - luma)], dim=1)


Place = tuple[EllipsisType, slice, slice]


def _neighbour_pairs(height: int, width: int) -> Iterator[tuple[Place, Place]]:
    """Where both pixels of all pairs lie, for each of the 12 directions of a window, without opposites."""
    for down in range(REACH + 1):
        for right in range(-REACH if down else 1, REACH + 1):
            if down < height and abs(right) < width:
                left, skipped = max(right, 0), max(-right, 0)
                first = (slice(0, height - down), slice(skipped, width - left))
                yield (..., *first), (..., slice(down, height), slice(left, width - skipped))
