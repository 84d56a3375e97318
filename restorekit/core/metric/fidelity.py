"""PSNR, SSIM and their kin: how close a restored image is to its reference, in pixels and in structure."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images
from restorekit.core.metric.preparation import PEAK, Levels, Reference, accumulator, prepare_pair
from restorekit.core.metric.protocol import MetricProtocol, check_protocol, default_protocol, format_address
from restorekit.core.metric.structure import WINDOWS, Window, mean_structure
from restorekit.errors import ImageError

__all__ = ["PSNR", "SSIM", "AffinePSNR", "MultiScaleSSIM"]


EXACT = 1e-14
"""Mean squared error, of images in [0, 1], that a fit leaves by rounding alone."""


class _Fidelity:
    """What they share: a reference is needed, higher is better."""

    name: ClassVar[str]
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 4
    higher_is_better: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = True

    def __init__(self, protocol: MetricProtocol | None = None) -> None:
        self.protocol = check_protocol(self.name, protocol or default_protocol(self.name))

    @property
    def address(self) -> str:
        """Name and protocol, for example ``psnr[rgb|per-image|u8|crop0]``."""
        return format_address(self.name, self.protocol)


class PSNR(_Fidelity):
    """Peak signal-to-noise ratio, 10 log10(1 / mean squared error) with both images in [0, 1], in dB."""

    name = "psnr"
    description = "peak signal-to-noise ratio in dB; higher is better, infinite for identical images"
    unit = "dB"
    decimals = 2

    def score(self, restored: Images, reference: Reference | None) -> Float[Tensor, "batch"]:
        """One value per image, in dB; +inf where the two are identical.

        Raises:
            ImageError: no reference, or sizes that differ.
        """
        first, second = prepare_pair(restored, reference, self.protocol, name=self.name)
        squares = (first - second).square()
        error = squares.mean(dim=(1, 2, 3), dtype=accumulator(squares))
        return 10.0 * torch.log10(PEAK**2 / error)


class AffinePSNR(_Fidelity):
    """PSNR once colours and exposure are right: a 3x4 colour matrix is fitted to the reference by least squares.

    Haze and darkness change colours far more than content, so PSNR tells who guessed the colours; this tells the rest.
    It sees the answer, so it is no restorer's score.
    """

    name = "psnr-affine"
    description = "PSNR in dB once the colour matrix that fits the reference best is applied; higher is better"
    unit = "dB"
    decimals = 2

    def score(self, restored: Images, reference: Reference | None) -> Float[Tensor, "batch"]:
        """One value per image, in dB, at least that of ``PSNR``; +inf where the fit is exact.

        Raises:
            ImageError: no reference, or sizes that differ.
        """
        first, second = prepare_pair(restored, reference, self.protocol, name=self.name)
        colours, target = (levels.flatten(2).mT.to(accumulator(levels)) / PEAK for levels in (first, second))
        known = F.pad(colours, (0, 1), value=1.0)
        matrix = torch.linalg.pinv(known.mT @ known, hermitian=True) @ (known.mT @ target)  # gray has no single one
        error = (known @ matrix - target).square().mean(dim=(1, 2))
        return -10.0 * torch.log10(torch.where(error < EXACT, 0.0, error))


class SSIM(_Fidelity):
    """Structural similarity: mean over pixels, then over channels.

    Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13, with the window that the protocol names.

    Differs from the paper: colour images are scored channel by channel; windows other than ``gauss11``.
    """

    name = "ssim"
    description = "structural similarity (Wang 2004); higher is better, 1 for identical images"

    def score(self, restored: Images, reference: Reference | None) -> Float[Tensor, "batch"]:
        """One value per image, without unit, at most 1.

        Raises:
            ImageError: no reference, sizes that differ, or an image smaller than the window.
        """
        first, second = prepare_pair(restored, reference, self.protocol, name=self.name)
        window = WINDOWS[str(self.protocol.window)]
        smallest = window.size_px // 2 + 1 if window.padded else window.size_px
        _check_side(first, smallest, where=self.name)
        similarity, _ = mean_structure(first, second, window)
        return similarity.mean(dim=1)


class MultiScaleSSIM(_Fidelity):
    """SSIM over five scales, each half the size of the one before.

    Wang, Simoncelli, Bovik 2003, "Multi-scale structural similarity for image quality assessment", eq. 7: the product
    over scales of the mean contrast-structure terms, and of the mean luminance comparison at the coarsest scale, each
    to the power of its weight.

    Differs from the paper: a negative mean, to which no fractional power exists, counts as 0; colour images are scored
    channel by channel, then averaged (TensorFlow and pytorch-msssim do the same; torchmetrics averages the channels
    before it multiplies the scales, and pads the coarsest one).
    """

    name = "ms-ssim"
    description = "structural similarity over five scales (Wang 2003); higher is better, 1 for identical images"

    WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    """Finest scale first; section 3.2 of the paper."""

    def score(self, restored: Images, reference: Reference | None) -> Float[Tensor, "batch"]:
        """One value per image, without unit, in [0, 1].

        Raises:
            ImageError: no reference, sizes that differ, or a side too short for five scales.
        """
        first, second = prepare_pair(restored, reference, self.protocol, name=self.name)
        window: Window = WINDOWS[str(self.protocol.window)]
        _check_side(first, (window.size_px - 1) * 2 ** (len(self.WEIGHTS) - 1) + 1, where=self.name)
        product: Tensor | float = 1.0
        for scale, weight in enumerate(self.WEIGHTS):
            similarity, contrast = mean_structure(first, second, window)
            coarsest = scale == len(self.WEIGHTS) - 1
            product = product * (similarity if coarsest else contrast).clamp_min(0.0) ** weight
            if not coarsest:
                first, second = _halved(first), _halved(second)
        assert isinstance(product, Tensor)
        return product.mean(dim=1)


def _halved(levels: Levels) -> Float[Tensor, "batch channels half_rows half_columns"]:
    """2x2 means; an odd last row or column is repeated, as in the authors' symmetric filtering."""
    height, width = levels.shape[-2:]
    return F.avg_pool2d(F.pad(levels, (0, width % 2, 0, height % 2), mode="replicate"), 2)


def _check_side(levels: Levels, smallest_px: int, *, where: str) -> None:
    height, width = levels.shape[-2:]
    if min(height, width) < smallest_px:
        raise ImageError(f"{where}: expected at least {smallest_px} px a side after the crop, got {width}x{height}")
