"""How far restored pixels are from clean ones: the losses of the base networks, which the methods use as well.

- ``eps`` stands squared beside the squared difference, inside the root. Code that writes sqrt(d^2 + 1e-6), as
  PTG-RM's and SNR-Aware's, means eps = 1e-3; sqrt(d^2) + eps would be the l1 loss.
- A mean does not depend on the size of crops and batches. A sum is that mean times the number of values; an optimiser
  that divides by the size of gradients hardly notices, beside a second loss it does.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.convention import Images
from restorekit.errors import UsageError

__all__ = ["LOSSES", "LossName", "PixelLoss", "Reduction", "restoration_loss"]

LossName = Literal["charbonnier", "l1", "psnr"]

Reduction = Literal["mean", "sum"]
"""Over the values of a batch: all pixels of all planes of all crops."""


class PixelLoss:
    """A loss of a batch, in which strong degradations need not drown weak ones.

    Args:
        name: a key of ``LOSSES``.
        eps: see ``restoration_loss``.
        balance: crops count in inverse proportion to this plus their own RMSE before restoration; None: all alike.
        reduction: mean, or sum: the mean times the number of values, three for each pixel.

    Raises:
        UsageError: a sum of psnr, which is one value for each image.
    """

    def __init__(
        self,
        name: LossName = "charbonnier",
        *,
        eps: float = 1e-3,
        balance: float | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        if name == "psnr" and reduction == "sum":
            raise UsageError("reduction: expected mean beside the loss psnr, which is one value an image, got sum")
        self.name = name
        self.eps = eps
        self.balance = balance
        self.reduction = reduction

    def __call__(self, restored: Images, degraded: Images, clean: Images) -> Float[Tensor, ""]:
        """Mean over the crops, each with its weight; or that times the number of values."""
        losses = restoration_loss(restored, clean, name=self.name, eps=self.eps)
        if self.balance is None:
            mean = losses.mean()
        else:
            weights = 1.0 / (self.balance + _rmse(degraded - clean))
            mean = (losses * weights).sum() / weights.sum()
        return mean * restored.numel() if self.reduction == "sum" else mean


def restoration_loss(restored: Images, clean: Images, *, name: str, eps: float) -> Float[Tensor, "batch"]:
    """How far ``restored`` is from ``clean``; see ``LOSSES`` for the names.

    Args:
        restored, clean: (batch, 3, height, width), float32, nominally in [0, 1].
        eps: of ``charbonnier`` and ``psnr``, in units of the range.

    Returns:
        One value per image; without unit for l1 and charbonnier, in dB for psnr (where it is negative).
    """
    return LOSSES[name](restored - clean, eps)


def _charbonnier(difference: Tensor, eps: float) -> Tensor:
    """Charbonnier et al. 1994: mean of sqrt(d^2 + eps^2). Differs from the paper: no."""
    return (difference.square() + eps**2).sqrt().mean(dim=(1, 2, 3))


def _l1(difference: Tensor, eps: float) -> Tensor:  # noqa: ARG001
    return difference.abs().mean(dim=(1, 2, 3))


def _rmse(difference: Tensor) -> Tensor:
    return difference.square().mean(dim=(1, 2, 3)).sqrt()


def _psnr(difference: Tensor, eps: float) -> Tensor:
    """Minus the PSNR of each image, as NAFNet is trained (Chen et al. 2022, arXiv:2204.04676), averaged.

    Differs from the authors' code: their 1e-8 beside the error is eps^2 here (60 dB at 1e-3), because crops that were
    hardly degraded would otherwise rule the gradient.
    """
    return 10.0 * torch.log10(difference.square().mean(dim=(1, 2, 3)) + eps**2)


LOSSES = {"charbonnier": _charbonnier, "l1": _l1, "psnr": _psnr}
"""Name of the loss to its function of (restored - clean, eps)."""
