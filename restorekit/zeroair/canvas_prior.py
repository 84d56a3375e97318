"""A diffusion prior for canvases of any size: overlapping windows of the size it knows, averaged in every step.

Bar-Tal et al. 2023, "MultiDiffusion" (arXiv:2302.08113); GDP (arXiv:2304.01247) does the same. What is averaged is the
prediction (noise, and variance if there is one), so windows agree on one clean estimate before anything is clipped, and
the noise of a step is drawn on the whole canvas by the sampler.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.core.image.canvas import round_up
from restorekit.errors import ImageError, UsageError
from restorekit.priors.pixel_diffusion import DiffusionPrior, Prediction, SignedImages

__all__ = ["CanvasPrior", "window_starts", "window_weights"]

LARGEST_WINDOW_PX = 1024
"""Of priors that take any size: beyond it memory grows and nothing is gained."""


class CanvasPrior:
    """A ``DiffusionPrior`` for canvases of any sides that are at least ``minimum_px`` and multiples of ``multiple_of``.

    Args:
        prior: predicts one window at a time.
        window_px: side of a window; None: the size the prior was trained on, or about 1024 for one without a size. A
            canvas that fits into one window is predicted at once.
        overlap: the least share of a window that it has in common with its neighbour, 0 to below 1.
        at_once: windows that are predicted together: more memory, less time on a GPU.

    Raises:
        UsageError: a window that the prior cannot take.

    Differs from the papers: windows count less towards their borders, where a network sees less, so that no border
    shows; theirs count alike.
    """

    def __init__(
        self, prior: DiffusionPrior, *, window_px: int | None = None, overlap: float = 0.25, at_once: int = 4
    ) -> None:
        if window_px is not None and window_px % prior.multiple_of:
            raise UsageError(
                f"window_px: expected a multiple of {prior.multiple_of} for this diffusion model, got {window_px}"
            )
        self.prior = prior
        self.window_px = window_px or prior.size_px or round_up(LARGEST_WINDOW_PX, prior.multiple_of)
        self.size_px: int | None = self.window_px
        self.overlap = overlap
        self.at_once = at_once
        self.multiple_of = prior.multiple_of
        self.minimum_px = min(prior.size_px or prior.multiple_of, self.window_px)
        self.variance_channels = prior.variance_channels
        self.scheduler_config: Mapping[str, Any] = prior.scheduler_config

    @torch.no_grad()
    def predict(self, noisy: SignedImages, timestep: int) -> Prediction:
        """The weighted mean of the windows' predictions; see ``DiffusionPrior``.

        Raises:
            ImageError: a side below ``minimum_px``.
        """
        height, width = noisy.shape[-2:]
        if min(height, width) < self.minimum_px:
            raise ImageError(
                f"zeroair: expected sides of at least {self.minimum_px} px, got {width}x{height}; pad the image"
            )
        rows, columns = (min(side, self.window_px) for side in (height, width))
        places = list(
            itertools.product(window_starts(height, rows, self.overlap), window_starts(width, columns, self.overlap))
        )
        if len(places) == 1:
            return self.prior.predict(noisy, timestep)
        weights = window_weights(rows, columns, self.overlap).to(noisy)
        total = noisy.new_zeros((len(noisy), 6 if self.variance_channels else 3, height, width))
        weight = noisy.new_zeros((height, width))
        for first in range(0, len(places), self.at_once):
            group = places[first : first + self.at_once]
            windows = [noisy[..., top : top + rows, left : left + columns] for top, left in group]
            predicted = self.prior.predict(torch.cat(windows), timestep)
            for (top, left), window in zip(group, torch.split(predicted, len(noisy)), strict=True):
                total[..., top : top + rows, left : left + columns] += weights * window
                weight[top : top + rows, left : left + columns] += weights
        return total / weight


def window_starts(length: int, side: int, overlap: float) -> list[int]:
    """Where windows start along one axis: at both ends, evenly between, overlapping by at least ``overlap`` of a side.

    >>> window_starts(600, 256, 0.25)
    [0, 172, 344]
    >>> window_starts(256, 256, 0.25)
    [0]
    """
    gaps = math.ceil((length - side) / max(side * (1.0 - overlap), 1.0))
    return [round(index * (length - side) / gaps) for index in range(gaps + 1)] if gaps else [0]


def window_weights(rows: int, columns: int, overlap: float) -> Float[Tensor, "{rows} {columns}"]:
    """1 in the middle of a window, falling along a raised cosine towards its borders over the overlap; never 0."""
    lines = []
    for side in (rows, columns):
        fade = max(side * min(overlap, 0.5), 0.5)
        inside = torch.arange(side, dtype=torch.float64) + 0.5
        distance = torch.minimum(inside, side - inside)
        lines.append(0.5 - 0.5 * torch.cos(math.pi * (distance / fade).clamp(max=1.0)))
    return lines[0][:, None] * lines[1][None, :]
