import numpy as np
import pytest
import scipy.ndimage
import torch

from restorekit.core.degradation.blur import disc_kernel, path_kernel, random_paths
from restorekit.core.degradation.chain import degrade_images, parse_degradation
from restorekit.core.image.colour import linear_to_srgb, srgb_to_linear


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def motion_kernels(count, length, curvature=60.0, jitter=0.5):
    full = [torch.full((count,), value) for value in (length, curvature, jitter)]
    return [path_kernel(path) for path in random_paths(torch.arange(count), *full)]


def centroid(kernel):
    offsets = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
    return float((kernel.sum(1) * offsets).sum()), float((kernel.sum(0) * offsets).sum())


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.6, 4.0, 15.0])
def test_gaussian_blur_matches_scipy(sigma, photos):
    blurred, _ = degrade_images(photos, f"blur:sigma={sigma}", generator=generator())
    expected = scipy.ndimage.gaussian_filter(photos.double().numpy(), sigma, axes=(2, 3), mode="mirror", truncate=4.0)
    np.testing.assert_allclose(blurred.numpy(), expected, atol=2e-6)


def test_gaussian_blur_of_zero_px_is_the_identity(photos):
    blurred, _ = degrade_images(photos, "blur:sigma=0", generator=generator())
    torch.testing.assert_close(blurred, photos, atol=1e-6, rtol=0)


def test_motion_blur_is_a_convolution_mirrored_at_the_border(photos):
    motion = parse_degradation("motion:length=17,linear=0")
    params = motion.draw(3, generator=generator())
    paths = random_paths(*(params[key] for key in ("seed", "length", "curvature", "jitter")))
    for clean, path, blurred in zip(photos, paths, motion.apply(photos, params), strict=True):
        kernel = path_kernel(path).double().numpy()
        expected = [scipy.ndimage.convolve(channel, kernel, mode="mirror") for channel in clean.double().numpy()]
        np.testing.assert_allclose(blurred.numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("length", [0.0, 1.0, 12.5, 60.0])
def test_motion_kernels_sum_to_one_and_are_centred(length):
    for kernel in motion_kernels(6, length):
        assert len(kernel) % 2 == 1
        assert float(kernel.min()) >= 0
        assert abs(float(kernel.double().sum()) - 1) < 1e-6
        assert centroid(kernel.double()) == pytest.approx((0.0, 0.0), abs=1e-4)


def test_motion_path_has_the_length_it_claims():
    full = [torch.full((8,), value) for value in (30.0, 90.0, 0.0)]
    for path in random_paths(torch.arange(8), *full):
        assert float(path.diff(dim=0).norm(dim=1).sum()) == pytest.approx(30.0, rel=0.02)


def test_straight_motion_path_stays_on_a_line():
    full = [torch.full((4,), value) for value in (30.0, 0.0, 0.0)]
    for path in random_paths(torch.arange(4), *full):
        assert float(torch.linalg.svdvals(path)[1]) < 1e-6


def test_motion_blur_in_linear_light_keeps_the_mean_light_of_a_wide_image():
    clean = torch.zeros(1, 3, 96, 96)
    clean[:, :, 47:49, 47:49] = 1.0
    blurred, _ = degrade_images(clean, "motion:length=12", generator=generator())
    torch.testing.assert_close(srgb_to_linear(blurred).sum(), srgb_to_linear(clean).sum(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("radius", [0.0, 0.7, 3.0, 8.5])
def test_defocus_disc_sums_to_one_and_is_symmetric(radius):
    kernel = disc_kernel(radius).double()
    assert abs(float(kernel.sum()) - 1) < 1e-6
    torch.testing.assert_close(kernel, kernel.flip(0))
    torch.testing.assert_close(kernel, kernel.T)


def test_defocus_disc_spreads_like_a_disc_of_its_radius():
    kernel, radius = disc_kernel(12.0).double(), 12.0
    offsets = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
    variance = float((kernel.sum(0) * offsets**2).sum())
    assert variance == pytest.approx(radius**2 / 4, rel=0.02)  # of a disc along one axis


def test_defocus_blur_averages_linear_light(photos):
    blurred, _ = degrade_images(photos, "defocus:radius=2.5", generator=generator())
    kernel = disc_kernel(2.5).double().numpy()
    light = srgb_to_linear(photos.double()).numpy()
    averaged = np.stack([[scipy.ndimage.convolve(c, kernel, mode="mirror") for c in image] for image in light])
    np.testing.assert_allclose(blurred.numpy(), linear_to_srgb(torch.from_numpy(averaged)).numpy(), atol=5e-6)
