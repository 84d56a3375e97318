"""Unsharp mask and Wiener deconvolution against scikit-image, and on a blur that is known."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import filters, restoration

from restorekit.core.classical import build_classical
from restorekit.core.classical.wiener import gaussian_psf


def blurred(clean: torch.Tensor, sigma_px: float) -> torch.Tensor:
    values = ndimage.gaussian_filter(clean.numpy(), (0, 0, sigma_px, sigma_px), mode="mirror")
    return torch.from_numpy(values.astype(np.float32))


@pytest.mark.parametrize("name", ["unsharp", "wiener"])
def test_sharpener_undoes_part_of_a_gaussian_blur(photo_crop, psnr, name):
    clean = photo_crop()
    degraded = blurred(clean, 0.8)
    assert psnr(build_classical(name).restore(degraded), clean) > psnr(degraded, clean) + 0.5


def test_wiener_recovers_a_known_blur(photo_crop, psnr):
    clean = photo_crop()
    degraded = blurred(clean, 1.5)
    restored = build_classical("wiener", {"sigma_px": 1.5, "balance": 0.001}).restore(degraded)
    assert psnr(restored, clean) > psnr(degraded, clean) + 4


def test_wiener_equals_scikit_image_inside(photo_crop):
    degraded = photo_crop()
    restored = build_classical("wiener", {"sigma_px": 1.2, "balance": 0.1}).restore(degraded)
    for channel in range(3):
        expected = restoration.wiener(
            degraded[0, channel].numpy().astype(np.float64), gaussian_psf(1.2), 0.1, clip=False
        )
        np.testing.assert_allclose(restored[0, channel, 40:-40, 40:-40], expected[40:-40, 40:-40], atol=1e-5)


def test_gaussian_psf_is_a_sampled_gaussian():
    grid = np.arange(-8, 9)
    line = np.exp(-(grid**2) / (2 * 2.0**2))
    np.testing.assert_allclose(gaussian_psf(2.0), np.outer(line, line) / line.sum() ** 2, atol=1e-12)


def test_unsharp_equals_scikit_image(photo_crop):
    degraded = photo_crop()
    restored = build_classical("unsharp", {"sigma_px": 2, "amount": 0.7}).restore(degraded)
    expected = filters.unsharp_mask(
        degraded[0].permute(1, 2, 0).numpy(), radius=2, amount=0.7, preserve_range=True, channel_axis=-1
    )
    inside = (slice(10, -10), slice(10, -10))  # scikit-image repeats the edge row, we mirror without it
    np.testing.assert_allclose(restored[0].permute(1, 2, 0).numpy()[inside], expected[inside], atol=2e-4)
