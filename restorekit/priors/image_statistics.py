"""Cheap measurements of an image as a prior: no weights, any size, milliseconds.

Brightness, contrast, clipping, colourfulness, haze, sharpness at four scales, noise and blocks: what tells one
degradation from another without a network. Each is shifted and scaled by what photos usually show, so that none
dominates the direction of the vector.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images, check_images
from restorekit.core.placement import resolve_precision
from restorekit.core.prior import PriorMaps, PriorVectors
from restorekit.priors.frame import PreparedImages, fit

__all__ = ["CELL_PX", "STATISTICS", "StatisticsPrior", "measure"]

CELL_PX = 32
"""Side of the cells of a feature map."""

MINIMUM_PX = 16  # gradients at the coarsest scale need two pixels of it
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SCALES = (1, 2, 4, 8)  # of gradients, in px
BLOCK_PX = 8  # of JPEG
DARKEST, BRIGHTEST = 1.5 / 255, 253.5 / 255  # beyond lie samples at the ends of the 8-bit range
FLOOR = 1e-4  # of deviations, below their logarithm: a fortieth of an 8-bit step

STATISTICS: dict[str, tuple[float, float]] = {
    "red": (0.47, 0.22),
    "green": (0.45, 0.22),
    "blue": (0.44, 0.23),
    "red_contrast": (0.20, 0.09),
    "green_contrast": (0.18, 0.08),
    "blue_contrast": (0.18, 0.09),
    "quantile_01": (0.13, 0.14),
    "quantile_05": (0.18, 0.17),
    "quantile_25": (0.33, 0.22),
    "quantile_50": (0.45, 0.24),
    "quantile_75": (0.58, 0.25),
    "quantile_95": (0.73, 0.25),
    "quantile_99": (0.80, 0.25),
    "black": (0.03, 0.07),
    "white": (0.04, 0.10),
    "saturation": (0.16, 0.12),
    "saturation_contrast": (0.10, 0.07),
    "darkest_colour": (0.37, 0.22),
    "noise": (-2.56, 0.80),
    "colour_noise": (-2.70, 0.92),
    "tails": (0.55, 0.14),
    "block_columns": (0.07, 0.15),
    "block_rows": (0.06, 0.13),
    "across_1px": (-1.57, 0.43),
    "down_1px": (-1.58, 0.42),
    "across_2px": (-1.45, 0.38),
    "down_2px": (-1.45, 0.37),
    "across_4px": (-1.36, 0.37),
    "down_4px": (-1.35, 0.36),
    "across_8px": (-1.27, 0.37),
    "down_8px": (-1.25, 0.36),
}
"""Name of each statistic -> (mean, deviation) over 488 photos, clean or degraded in ten ways; see ``measure``."""

Statistics = Float[Tensor, "batch statistics"]
Planes = Float[Tensor, "batch rows columns"]


class StatisticsPrior:
    """The statistics of an image as a ``FeaturePrior``; a map has those of each cell of ``CELL_PX`` px."""

    name = "statistics"

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return len(STATISTICS)

    def to(self, device: torch.device, precision: str = "float32") -> "StatisticsPrior":
        """This prior, computing on ``device``, always in float32.

        Raises:
            UsageError: an unknown precision, or float16 on a CPU.
        """
        resolve_precision(precision, device)
        self.device = torch.device(device)
        return self

    @torch.no_grad()
    def features(self, images: Images) -> PriorVectors:
        """See ``FeaturePrior``; images with a side below 16 px are enlarged.

        Raises:
            ImageError: ``images`` is no finite floating point batch of RGB images.
        """
        return _unit(measure(self._seen(images))).to(images.device)

    @torch.no_grad()
    def feature_map(self, images: Images) -> PriorMaps:
        """See ``FeaturePrior``; what is left of the image beside whole cells is not seen. Errors as in ``features``."""
        seen = fit(self._seen(images), CELL_PX)
        cells = seen.unfold(2, CELL_PX, CELL_PX).unfold(3, CELL_PX, CELL_PX)
        batch, _, rows, columns = cells.shape[:4]
        values = measure(cells.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))
        return _unit(values).reshape(batch, rows, columns, -1).permute(0, 3, 1, 2).to(images.device)

    def _seen(self, images: Images) -> PreparedImages:
        check_images(images, self.name)
        seen = images.to(self.device, torch.float32).clamp(0.0, 1.0)
        return fit(seen, MINIMUM_PX) if min(seen.shape[2:]) < MINIMUM_PX else seen


def measure(images: Images) -> Statistics:
    """The statistics by column, in the order of ``STATISTICS``, in their own units.

    Args:
        images: (batch, 3, height, width) of at least 16 x 16 px, in [0, 1].
    """
    luma, darkest = images.mean(dim=1), images.amin(dim=1)
    saturation = images.amax(dim=1) - darkest
    ordered = luma.flatten(1).sort(dim=1).values
    ranks = [round(share * (ordered.shape[1] - 1)) for share in QUANTILES]
    single = [
        (luma < DARKEST).float().mean(dim=(1, 2)).sqrt(),
        (luma > BRIGHTEST).float().mean(dim=(1, 2)).sqrt(),
        saturation.mean(dim=(1, 2)),
        saturation.std(dim=(1, 2)),
        darkest.mean(dim=(1, 2)),
        _noise(luma),
        _noise(images[:, 0] - images[:, 1]),
        _tails(luma),
        _blocks(luma),
        _blocks(luma.transpose(1, 2)),
    ]
    gradients = [_gradient(F.avg_pool2d(luma, scale)) for scale in SCALES]
    return torch.cat(
        [images.mean(dim=(2, 3)), images.std(dim=(2, 3)), ordered[:, ranks], torch.stack(single, 1), *gradients], dim=1
    )


def _unit(values: Statistics) -> Statistics:
    usual, spread = torch.tensor(list(STATISTICS.values()), device=values.device).T
    return F.normalize((values - usual) / spread, dim=1)


def _gradient(luma: Planes) -> Float[Tensor, "batch 2"]:
    """Logarithm (base 10) of the deviation between horizontal and between vertical neighbours."""
    power = [luma.diff(dim=axis).square().mean(dim=(1, 2)) for axis in (2, 1)]
    return (torch.stack(power, dim=1).sqrt() + FLOOR).log10()


def _noise(plane: Planes) -> Float[Tensor, " batch"]:
    """Logarithm (base 10) of the deviation of white noise, after Immerkær 1996 (doi:10.1006/cviu.1996.0060).

    The difference of two Laplacians cancels edges, and its mean absolute value is 6 sqrt(2 / pi) sigma for noise alone.

    Differs from the paper: only by the logarithm.
    """
    second = plane.diff(n=2, dim=1).diff(n=2, dim=2)
    return (second.abs().mean(dim=(1, 2)) / (6.0 * math.sqrt(2.0 / math.pi)) + FLOOR).log10()


def _tails(luma: Planes) -> Float[Tensor, " batch"]:
    """Mean over deviation of horizontal differences: 0.8 for Gaussian noise, less the sparser the edges."""
    steps = luma.diff(dim=2)
    return steps.abs().mean(dim=(1, 2)) / (steps.square().mean(dim=(1, 2)).sqrt() + FLOOR)


def _blocks(luma: Planes) -> Float[Tensor, " batch"]:
    """Logarithm of how much columns differ from their left neighbours at the worst of the eight phases of JPEG's grid.

    The phase is searched for, because crops begin anywhere.
    """
    steps = luma.diff(dim=2).abs().mean(dim=1) + FLOOR
    phases = torch.stack([steps[:, phase::BLOCK_PX].mean(dim=1) for phase in range(BLOCK_PX)], dim=1)
    return (phases.amax(dim=1) / phases.mean(dim=1)).log()
