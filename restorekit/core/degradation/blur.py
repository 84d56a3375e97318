"""Blur: Gaussian, motion along random camera paths, and defocus discs. All reflect at the border and pass gradients."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from restorekit.core.degradation.base import DegradationTerm, Params
from restorekit.core.degradation.fields import blur_images, gaussian_taps, generators
from restorekit.core.degradation.settings import Span, flag, span
from restorekit.core.image.colour import linear_to_srgb, srgb_to_linear
from restorekit.core.image.convention import Images

__all__ = ["DefocusBlur", "GaussianBlur", "MotionBlur", "disc_kernel", "path_kernel", "random_paths"]

PATH_POINTS = 256
"""Positions of the camera during one exposure."""
WAVES = (1, 2, 3, 4, 5, 6, 7, 8)
"""Half periods per exposure of the waves that a random path is made of."""


@dataclass(frozen=True)
class GaussianBlur(DegradationTerm):
    """Gaussian blur of the encoded image, cut at 4 sigma (SciPy's default)."""

    name: ClassVar[str] = "blur"

    sigma: Span = span("0.5..4", low=0, high=50, unit="px", help="standard deviation")
    linear: bool = flag(False, help="1: average linear light, as a lens does; 0: encoded values, as benchmarks do")

    def _degrade(self, clean: Images, params: Params) -> Images:
        taps = [gaussian_taps(sigma) for sigma in params["sigma"].tolist()]
        return _blurred(clean, [torch.outer(line, line) for line in taps], linear=self.linear)


@dataclass(frozen=True)
class MotionBlur(DegradationTerm):
    """Blur by a camera that moves along a random path while the shutter is open.

    The path starts in a random direction, bends smoothly, changes speed and trembles; the kernel counts the time spent
    over each px and is centred on its mean, so the image does not shift.
    """

    name: ClassVar[str] = "motion"
    seeded: ClassVar[bool] = True

    length: Span = span("4..40", low=0, high=200, unit="px", help="length of the path")
    curvature: Span = span("0..90", low=0, high=720, unit="degrees", help="typical change of direction along the path")
    jitter: Span = span("0..0.6", low=0, high=10, unit="px", help="deviation of the tremor around the path")
    linear: bool = flag(True, help="1: average linear light, as a sensor does; 0: encoded values")

    def _degrade(self, clean: Images, params: Params) -> Images:
        paths = random_paths(params["seed"], params["length"], params["curvature"], params["jitter"])
        return _blurred(clean, [path_kernel(path) for path in paths], linear=self.linear)


@dataclass(frozen=True)
class DefocusBlur(DegradationTerm):
    """A lens out of focus: every point of light becomes a disc of even brightness with a soft edge of 1 px."""

    name: ClassVar[str] = "defocus"

    radius: Span = span("1..6", low=0, high=50, unit="px", help="radius of the disc")
    linear: bool = flag(True, help="1: average linear light, as a lens does; 0: encoded values")

    def _degrade(self, clean: Images, params: Params) -> Images:
        return _blurred(clean, [disc_kernel(radius) for radius in params["radius"].tolist()], linear=self.linear)


def random_paths(
    seeds: Int64[Tensor, "batch"],
    length_px: Float[Tensor, "batch"],
    curvature_degrees: Float[Tensor, "batch"],
    jitter_px: Float[Tensor, "batch"],
) -> Float[Tensor, "batch points 2"]:
    """Camera positions (row, column) in px at equal times, mean 0; ``length_px`` long before the tremor is added."""
    drawn = [torch.randn(len(WAVES) + 1, 4, 2, generator=generator) for generator in generators(seeds)]
    waves = torch.stack(drawn).double()
    bend, speed, down, right = _smooth_walks(waves[:, 1:]).unbind(dim=2)
    start = torch.atan2(waves[:, 0, 0, 0], waves[:, 0, 0, 1])[:, None]
    heading = start + bend * curvature_degrees[:, None].deg2rad()
    pace = torch.softmax(0.5 * speed, dim=1) * length_px[:, None]
    steps = torch.stack([torch.sin(heading), torch.cos(heading)], dim=2) * pace[:, :, None]
    tremor = torch.stack([down, right], dim=2) * jitter_px[:, None, None]
    path = torch.cumsum(steps, dim=1) + tremor
    return path - path.mean(dim=1, keepdim=True)


def path_kernel(path: Float[Tensor, "points 2"]) -> Float[Tensor, "size size"]:
    """Time spent over each px: every point is shared among its four neighbours, so the centroid is kept exactly."""
    radius = math.floor(float(path.abs().max())) + 1
    size = 2 * radius + 1
    placed = path + radius
    corner = placed.floor()
    part = placed - corner
    shares = torch.stack([1 - part, part], dim=2)  # (points, axis, near or far)
    weights = shares[:, 0, :, None] * shares[:, 1, None, :]
    cells = (corner[:, 0] * size + corner[:, 1])[:, None, None] + torch.tensor([[0, 1], [size, size + 1]])
    kernel = torch.zeros(size * size, dtype=path.dtype).index_add_(0, cells.long().flatten(), weights.flatten())
    return (kernel / kernel.sum()).reshape(size, size).float()


def disc_kernel(radius_px: float) -> Float[Tensor, "size size"]:
    """A disc of sum 1; the px at its edge are weighted by how far they reach inside."""
    reach = math.ceil(radius_px)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    distance = torch.hypot(offsets[:, None], offsets[None, :])
    disc = (radius_px + 0.5 - distance).clamp(0.0, 1.0)
    return (disc / disc.sum()).float()


def _smooth_walks(waves: Float[Tensor, "batch waves 4 2"]) -> Float[Tensor, "batch points 4"]:
    """Four smooth random functions of time (bend, speed, tremor down, tremor right), deviation about 1.

    Each is a sum of sines and cosines with random heights: slow ones for bend and speed, all alike for the tremor.
    """
    time = torch.linspace(0, math.pi, PATH_POINTS, dtype=waves.dtype)[:, None] * torch.tensor(WAVES, dtype=waves.dtype)
    slow = torch.tensor([1.0 / wave**2 for wave in WAVES], dtype=waves.dtype)
    heights = torch.stack([slow, slow, torch.ones_like(slow), torch.ones_like(slow)], dim=1)
    heights = heights / heights.square().sum(dim=0).sqrt()
    basis = torch.stack([torch.cos(time), torch.sin(time)], dim=2)  # (points, waves, 2)
    return torch.einsum("pwc,bwkc,wk->bpk", basis, waves, heights)


def _blurred(clean: Images, kernels: list[Tensor], *, linear: bool) -> Images:
    if not linear:
        return blur_images(clean, kernels).clamp(0.0, 1.0)
    return linear_to_srgb(blur_images(srgb_to_linear(clean), kernels))
