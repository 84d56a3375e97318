"""What tells a healthy encoder from a useless one: how much codes differ between images, and which loss pulls how hard.

A U-Net is guided by a code only if images have different codes. The weights that count are those that ship: pass codes
that were computed with the averaged weights, in evaluation mode, as validation does.
"""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from restorekit.constyle.encoder import Code

__all__ = ["COLLAPSED", "CodeSpread", "CodeWatch", "code_spread", "gradient_norms"]

COLLAPSED = 0.01
"""Relative spread below which codes say nothing.

Measured on 48 px crops of photos at width 8 with averaged weights: 0.2 for fresh encoders of parity fixed, 0.6 after
240 steps of all three losses; 3e-5 to 1.4e-2 in as many steps of parity official.
"""


class CodeSpread(NamedTuple):
    """How codes lie."""

    between_images: float
    """Standard deviation over the images, root mean square over the values of the code; in units of the code."""
    size: float
    """Root mean square of the codes; in the same units."""

    @property
    def relative(self) -> float:
        """``between_images`` over ``size``: 0 where all images have one code."""
        return self.between_images / self.size if self.size > 0 else 0.0

    @property
    def is_collapsed(self) -> bool:
        """Whether the codes say nothing about the image."""
        return not self.relative >= COLLAPSED


def code_spread(codes: Code) -> CodeSpread:
    """The spread of the codes of at least two different images.

    Raises:
        ValueError: fewer than two codes.
    """
    if len(codes) < 2:
        raise ValueError(f"codes: expected those of at least 2 images, got {len(codes)}")
    exact = codes.detach().double()
    between = exact.var(dim=0, correction=0).mean().sqrt()
    return CodeSpread(float(between), float(exact.square().mean().sqrt()))


class CodeWatch:
    """Gathers codes image by image, says how they lie, and warns when they have collapsed."""

    def __init__(self) -> None:
        self._codes: list[Tensor] = []

    def observe(self, codes: Code) -> None:
        """Remember codes of one or more images."""
        self._codes.append(codes.detach().float().cpu())

    def report(self) -> dict[str, float]:
        """``{"code_spread": ..., "code_size": ...}`` of what was observed since the last report; {} for too little.

        Warns (``UserWarning``) when the codes have collapsed.
        """
        codes = torch.cat(self._codes) if self._codes else torch.empty(0)
        if len(codes) < 2:
            return {}
        self._codes = []
        spread = code_spread(codes)
        if spread.is_collapsed:
            warnings.warn(
                f"constyle: codes: expected images to differ by more than {COLLAPSED:.0%} of the codes' size, got "
                f"{spread.relative:.2g} over {len(codes)} images, so the code guides nothing; raise info_nce_weight, "
                "lower content_weight, or use parity fixed",
                stacklevel=2,
            )
        return {"code_spread": spread.between_images, "code_size": spread.size}


def gradient_norms(losses: Mapping[str, Tensor], module: nn.Module) -> dict[str, float]:
    """The Euclidean norm of each loss's gradient over all weights of ``module``, by the name of the loss.

    To be called before the backward pass, which stays possible. It costs one more backward pass for each loss, so call
    it now and then. ``.grad`` is left alone. A loss that does not reach the module has norm 0.
    """
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    norms = {}
    for name, loss in losses.items():
        found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        reached = [gradient for gradient in found if gradient is not None]
        norms[name] = float(torch.nn.utils.get_total_norm(reached)) if reached else 0.0
    return norms
