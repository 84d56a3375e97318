"""Denoisers: against the library calls they stand on, and that noise really goes."""

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import restoration

from restorekit.core.classical import build_classical
from restorekit.core.classical.opponent import from_opponent, to_opponent


def as_array(images: torch.Tensor) -> np.ndarray:
    return images[0].permute(1, 2, 0).numpy()


def opponent_by_hand(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
    planes = [(red + green + blue) / 3**0.5, (red - green) / 2**0.5, (red + green - 2 * blue) / 6**0.5]
    return np.stack(planes, axis=-1)


@pytest.fixture
def noisy(photo_crop, add_noise):
    return add_noise(photo_crop(side=64), 25)


@pytest.mark.parametrize(("name", "gain_db"), [("nlm", 7), ("tv", 7), ("wavelet", 6), ("bilateral", 6), ("median", 3)])
@pytest.mark.parametrize("photo", ["coffee.png", "astronaut.png"])
def test_denoiser_gains_without_being_told_the_noise(photo_crop, add_noise, psnr, photo, name, gain_db):
    clean = photo_crop(photo)
    degraded = add_noise(clean, 25)
    restored = build_classical(name).restore(degraded)
    assert psnr(restored, clean) > psnr(degraded, clean) + gain_db


@pytest.mark.parametrize("name", ["nlm", "tv", "wavelet", "bilateral"])
def test_denoiser_uses_the_given_sigma(noisy, name):
    assert torch.equal(build_classical(name, {"sigma": 0}).restore(noisy), noisy)
    weak, strong = (build_classical(name, {"sigma": sigma}).restore(noisy) for sigma in (10, 40))
    assert strong.std() < weak.std()


def test_opponent_colours_are_orthonormal(noisy):
    pixels = as_array(noisy)
    np.testing.assert_allclose(to_opponent(pixels), opponent_by_hand(pixels), atol=1e-6)
    np.testing.assert_allclose(from_opponent(to_opponent(pixels)), pixels, atol=1e-6)


def test_nlm_equals_scikit_image(noisy):
    options = {"sigma": 25, "luma_strength": 0.5, "chroma_strength": 0.5, "patch_radius_px": 1, "distance_px": 4}
    restored = build_classical("nlm", options).restore(noisy)
    sigma = 25 / 255
    planes = [
        restoration.denoise_nl_means(plane, 3, 4, 0.5 * sigma, fast_mode=True, sigma=sigma)
        for plane in np.moveaxis(opponent_by_hand(as_array(noisy)), -1, 0)
    ]
    np.testing.assert_allclose(opponent_by_hand(as_array(restored)), np.stack(planes, axis=-1), atol=1e-5)


def test_tv_equals_scikit_image(noisy):
    restored = build_classical("tv", {"sigma": 25, "iterations": 20}).restore(noisy)
    weights = np.array([0.6, 1.4, 1.4]) * 25 / 255
    planes = [
        restoration.denoise_tv_chambolle(plane, weight, eps=0, max_num_iter=20)
        for plane, weight in zip(np.moveaxis(opponent_by_hand(as_array(noisy)), -1, 0), weights, strict=True)
    ]
    np.testing.assert_allclose(opponent_by_hand(as_array(restored)), np.stack(planes, axis=-1), atol=1e-5)


def test_wavelet_equals_scikit_image_without_shifts(noisy):
    restored = build_classical("wavelet", {"sigma": 25, "shifts": 1, "levels": 2}).restore(noisy)
    expected = restoration.denoise_wavelet(
        as_array(noisy),
        sigma=25 / 255,
        wavelet="db2",
        method="BayesShrink",
        wavelet_levels=2,
        convert2ycbcr=True,
        channel_axis=-1,
        rescale_sigma=True,
    )
    np.testing.assert_allclose(as_array(restored), expected, atol=1e-6)


def test_bilateral_equals_opencv(noisy):
    restored = build_classical("bilateral", {"sigma": 25, "strength": 2, "reach_px": 2}).restore(noisy)
    expected = cv2.bilateralFilter(as_array(noisy).copy(), 9, 6 * 25 / 255, 2)
    np.testing.assert_allclose(as_array(restored), expected, atol=1e-6)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_median_equals_scipy_at_every_radius(noisy, radius):
    restored = build_classical("median", {"radius_px": radius}).restore(noisy)
    size = 2 * radius + 1
    expected = ndimage.median_filter(as_array(noisy), size=(size, size, 1), mode="nearest")
    np.testing.assert_array_equal(as_array(restored), expected)


def test_median_removes_isolated_pixels():
    clean = torch.full((1, 3, 15, 15), 0.4)
    degraded = clean.clone()
    degraded[..., 3::4, 3::4] = 1
    assert torch.equal(build_classical("median").restore(degraded), clean)
