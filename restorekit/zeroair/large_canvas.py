"""A large canvas in bounded memory: φ is learned on crops of it, and applied to all of it piece by piece.

φ sees few pixels around each one (``REACH_PX``), so pieces that overlap by that much give exactly what the whole would.
Where gradients are wanted a piece is computed once more on the way back instead of being kept.
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from restorekit.core.image.convention import Images
from restorekit.zeroair.degradation_model import ColourAffine, FourConvolutions, Residual

__all__ = ["PIECE_PX", "Crop", "centre_crop", "degrade_in_pieces", "moving_crop", "push_in_pieces"]

PIECE_PX = 256
"""Side of a piece, in px; smaller images are computed whole. For a gradient φ keeps about 4 kB of each pixel of it."""

REACH_PX: dict[type[nn.Module], int] = {FourConvolutions: 3, Residual: 3, ColourAffine: 0}
"""How far φ sees around a pixel, in px; other kinds are computed whole."""

Planes = Float[Tensor, "batch planes height width"]
Crop = Callable[[Planes], Float[Tensor, "batch planes crop_height crop_width"]]
"""Cuts the same rectangle from any tensor of one size."""


def moving_crop(height: int, width: int, size_px: int, *, step: int) -> Crop:
    """A square of at most ``size_px``, at a place that depends on the step: together they cover the image evenly.

    The places are the additive sequence of the plastic number (Roberts 2018); no random number is drawn.
    """
    plastic = 1.324717957244746
    return _crop(height, width, size_px, math.fmod(0.5 + step / plastic, 1.0), math.fmod(0.5 + step / plastic**2, 1.0))


def centre_crop(height: int, width: int, size_px: int) -> Crop:
    """The square of at most ``size_px`` in the middle."""
    return _crop(height, width, size_px, 0.5, 0.5)


def degrade_in_pieces(model: nn.Module, clean: Images, *, piece_px: int = PIECE_PX) -> Images:
    """``model(clean)``; a large image piece by piece, with the same values and the same gradient for ``clean``.

    Args:
        model: φ, of a kind in ``REACH_PX``, or it is computed whole.
        clean: (batch, 3, height, width).
        piece_px: side of the pieces.
    """
    if type(model) not in REACH_PX or max(clean.shape[-2:]) <= piece_px:
        degraded: Images = model(clean)
        return degraded

    def run(piece: Tensor) -> Tensor:
        made: Tensor = checkpoint(model, piece, use_reentrant=False, preserve_rng_state=False)
        return made

    return _assembled(run, (clean,), REACH_PX[type(model)], piece_px)


def push_in_pieces(model: nn.Module, clean: Images, direction: Images, *, piece_px: int = PIECE_PX) -> Images:
    """J v, the change of φ's output along ``direction``; without gradient.

    Args:
        model: φ.
        clean: where J is taken, (batch, 3, height, width).
        direction: v, same shape.
        piece_px: side of the pieces.
    """
    whole = type(model) not in REACH_PX or max(clean.shape[-2:]) <= piece_px

    def run(piece: Tensor, tangent: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = piece.detach().requires_grad_(True)
            made = model(leaf)
            weights = torch.zeros_like(made, requires_grad=True)
            (pulled,) = torch.autograd.grad(made, leaf, weights, create_graph=True)  # Jᵀ w is linear in w,
            (pushed,) = torch.autograd.grad(pulled, weights, tangent)  # so its gradient is J v
        return pushed

    with torch.no_grad():
        return run(clean, direction) if whole else _assembled(run, (clean, direction), REACH_PX[type(model)], piece_px)


def _crop(height: int, width: int, size_px: int, down: float, across: float) -> Crop:
    rows, columns = min(height, size_px), min(width, size_px)
    top, left = int(down * (height - rows + 1)), int(across * (width - columns + 1))
    return lambda planes: planes[..., top : top + rows, left : left + columns]


def _assembled(run: Callable[..., Tensor], inputs: tuple[Tensor, ...], reach: int, piece_px: int) -> Tensor:
    """The results of pieces with ``reach`` px around them, without these px, in their places."""
    height, width = inputs[0].shape[-2:]
    rows = []
    for top, above, bottom, below in _spans(height, reach, piece_px):
        row = []
        for left, before, right, behind in _spans(width, reach, piece_px):
            made = run(*(planes[..., above:below, before:behind] for planes in inputs))
            row.append(made[..., top - above : bottom - above, left - before : right - before])
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)


def _spans(length: int, reach: int, piece_px: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, start with reach, stop, stop with reach) of each piece."""
    for start in range(0, length, piece_px):
        stop = min(start + piece_px, length)
        yield start, max(start - reach, 0), stop, min(stop + reach, length)
