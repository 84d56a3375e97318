"""Windows: they cover the canvas, their mean is what a naive sum gives, and a local prior cannot tell them."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import ImageError, UsageError
from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE, GaussianDiffusionPrior
from restorekit.zeroair.canvas_prior import CanvasPrior, window_starts, window_weights
from restorekit.zeroair.config import Stage, ZeroAIRConfig
from restorekit.zeroair.guidance import ZeroAIRGuidance
from restorekit.zeroair.sampler import restore_image


class Ramp:
    """Answers with each pixel's place in its window, and counts its calls."""

    size_px: int | None = 8
    multiple_of = 4
    variance_channels = True
    scheduler_config: Mapping[str, Any] = LINEAR_SCHEDULE

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, noisy: Tensor, timestep: int) -> Tensor:
        self.shapes.append(tuple(noisy.shape))
        height, width = noisy.shape[-2:]
        place = torch.arange(height)[:, None] * 100.0 + torch.arange(width)[None, :]
        return torch.cat([noisy + place, noisy * 0 + place], dim=1)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("length", "side"), [(8, 8), (9, 8), (16, 8), (29, 8), (1000, 256)])
def test_windows_cover_the_canvas_and_overlap_as_asked(length: int, side: int, overlap: float) -> None:
    starts = window_starts(length, side, overlap)
    assert (starts[0], starts[-1]) == (0, length - side)
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(0 < gap <= max(side * (1 - overlap), 1) + 1 for gap in gaps)
    assert {start + offset for start in starts for offset in range(side)} == set(range(length))


def test_prediction_is_the_weighted_mean_of_the_windows() -> None:
    """Pixel by pixel, in a sum that shares nothing with the code but the weights."""
    prior, noisy = Ramp(), noise(2, 3, 12, 20)
    canvas = CanvasPrior(prior, overlap=0.25, at_once=3)
    weights = window_weights(8, 8, 0.25)
    expected = torch.zeros(2, 6, 12, 20, dtype=torch.float64)
    for row in range(12):
        for column in range(20):
            sums, total = torch.zeros(2, 6, dtype=torch.float64), 0.0
            for top in (0, 4):
                for left in (0, 6, 12):
                    y, x = row - top, column - left
                    if 0 <= y < 8 and 0 <= x < 8:
                        pixel = noisy[:, :, row, column]
                        sums += weights[y, x] * torch.cat([pixel + 100 * y + x, pixel * 0 + 100 * y + x], dim=1)
                        total += float(weights[y, x])
            expected[:, :, row, column] = sums / total
    torch.testing.assert_close(canvas.predict(noisy, 500), expected)
    assert prior.shapes == [(6, 3, 8, 8), (6, 3, 8, 8)]


def test_weights_fall_towards_borders_and_never_vanish() -> None:
    weights = window_weights(8, 16, 0.5)
    assert weights.shape == (8, 16)
    assert float(weights.min()) > 0
    torch.testing.assert_close(weights, weights.flip(0, 1))
    assert bool((weights[3, 1:8] > weights[3, :7]).all())
    assert bool((window_weights(8, 8, 0.0) == 1).all())


def test_windows_of_a_local_prior_equal_the_whole_canvas_for_a_whole_run() -> None:
    """White images: each pixel is predicted from itself, so 12 windows say what one look says, with variances too."""
    timesteps = (999, 700, 400, 100, 0)
    local = GaussianDiffusionPrior(0.1, 0.3, learn_variance=True, timesteps=timesteps)
    degraded = (noise(1, 3, 20, 28) * 0.1 + 0.5).clamp(0, 1)
    config = ZeroAIRConfig(timesteps=timesteps, alpha=0.2, stages=(Stage(reconstruction=1.0),))

    def run(prior: Any) -> Tensor:
        guidance = ZeroAIRGuidance(config, degradation=nn.Identity())
        return restore_image(prior, degraded, config, guidance, generator=torch.Generator().manual_seed(1))

    torch.testing.assert_close(run(CanvasPrior(local, window_px=8)), run(local), atol=1e-12, rtol=0)


def test_canvas_that_fits_into_one_window_is_predicted_at_once() -> None:
    prior = Ramp()
    CanvasPrior(prior, window_px=16).predict(noise(2, 3, 12, 16), 500)
    assert prior.shapes == [(2, 3, 12, 16)]


def test_prior_without_a_size_sees_up_to_1024_px() -> None:
    free = GaussianDiffusionPrior()
    assert (CanvasPrior(free).window_px, CanvasPrior(free).minimum_px) == (1024, 1)
    assert (CanvasPrior(Ramp()).window_px, CanvasPrior(Ramp()).minimum_px) == (8, 8)
    assert CanvasPrior(Ramp(), window_px=4).minimum_px == 4


def test_windows_and_canvases_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="window_px: expected a multiple of 4 for this diffusion model, got 10"):
        CanvasPrior(Ramp(), window_px=10)
    with pytest.raises(ImageError, match="zeroair: expected sides of at least 8 px, got 12x4; pad the image"):
        CanvasPrior(Ramp()).predict(noise(1, 3, 4, 12), 0)
