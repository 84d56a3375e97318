"""The estimate of the noise: against the noise that was added, and against its own tiles."""

import numpy as np
import pytest
import torch

from restorekit.core.classical import estimate_noise
from restorekit.core.image.tiling import TensorView


@pytest.mark.parametrize("sigma", [10, 25, 50])
@pytest.mark.parametrize("name", ["coffee.png", "astronaut.png", "chelsea.png"])
def test_estimate_noise_finds_what_was_added(photo_crop, add_noise, name, sigma):
    noisy = add_noise(photo_crop(name, 160), sigma)
    assert estimate_noise(TensorView(noisy)) * 255 == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("sigma", [1, 5, 30])
def test_estimate_noise_is_unbiased_without_texture(sigma):
    noisy = 0.5 + torch.randn((1, 3, 256, 256), generator=torch.Generator().manual_seed(1)) * sigma / 255
    assert estimate_noise(TensorView(noisy)) * 255 == pytest.approx(sigma, rel=0.02)


def test_estimate_noise_does_not_depend_on_tiles(photo_crop, add_noise):
    noisy = add_noise(photo_crop(), 15)[..., :101, :127]
    whole = estimate_noise(TensorView(noisy))
    assert estimate_noise(TensorView(noisy, tile_px=37)) == pytest.approx(whole, rel=1e-6)


def test_estimate_noise_is_a_median_over_the_fourth_difference(photo_crop, add_noise):
    noisy = add_noise(photo_crop(side=64), 20)
    padded = np.pad(noisy[0].numpy().astype(np.float64), ((0, 0), (2, 2), (2, 2)), mode="reflect")
    detail = np.diff(np.diff(padded, 4, axis=1), 4, axis=2) / 70
    expected = np.mean([np.median(np.abs(channel)) for channel in detail]) / 0.6744897501960817
    assert estimate_noise(TensorView(noisy)) == pytest.approx(expected, rel=1e-3)


def test_estimate_noise_is_zero_without_detail():
    assert estimate_noise(TensorView(torch.full((1, 3, 20, 20), 0.3))) == 0
