"""Guided filter against a naive one; dark channel prior on haze whose airlight and transmission are known."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from restorekit.core.classical import build_classical
from restorekit.core.classical.dark_channel import DarkChannelPrior, dark_channel
from restorekit.core.classical.guided_filter import guided_filter
from restorekit.core.image.tiling import TensorView

AIRLIGHT = (0.9, 0.85, 0.8)


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """(clean, hazy): saturated patches, so that the prior holds, behind haze that gets denser to the right."""
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.2, 0.9, (16, 16, 3))
    np.put_along_axis(clean, rng.integers(0, 3, (16, 16, 1)), 0.0, axis=2)
    clean = clean.repeat(8, axis=0).repeat(8, axis=1)
    transmission = np.linspace(0.9, 0.3, 128)[None, :, None].repeat(128, axis=0)
    transmission[:, -20:] = 0.0  # the sky
    hazy = clean * transmission + np.array(AIRLIGHT) * (1 - transmission)
    images = (torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None] for x in (clean, hazy))
    return next(images), next(images)


def naive_guided_filter(guide: np.ndarray, source: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """He, Sun and Tang 2010, eq. 5 to 8, window by window."""
    height, width = guide.shape

    def windows(y: int, x: int) -> tuple[slice, slice]:
        return slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)

    slope, offset = np.empty_like(guide), np.empty_like(guide)
    for y, x in np.ndindex(height, width):
        inside, values = guide[windows(y, x)], source[windows(y, x)]
        slope[y, x] = ((inside * values).mean() - inside.mean() * values.mean()) / (inside.var() + epsilon)
        offset[y, x] = values.mean() - slope[y, x] * inside.mean()
    filtered = np.empty_like(guide)
    for y, x in np.ndindex(height, width):
        filtered[y, x] = slope[windows(y, x)].mean() * guide[y, x] + offset[windows(y, x)].mean()
    return filtered


@pytest.mark.parametrize("radius", [1, 3, 9])
def test_guided_filter_equals_the_naive_one(radius):
    guide, source = np.random.default_rng(radius).uniform(size=(2, 14, 19))
    filtered = guided_filter(guide.astype(np.float32), source.astype(np.float32), radius_px=radius, epsilon=1e-3)
    np.testing.assert_allclose(filtered, naive_guided_filter(guide, source, radius, 1e-3), atol=1e-4)


def test_dark_channel_is_a_minimum_over_window_and_channels():
    photo = np.random.default_rng(0).uniform(size=(20, 30, 3)).astype(np.float32)
    expected = ndimage.minimum_filter(photo.min(axis=2), size=5, mode="nearest")
    np.testing.assert_array_equal(dark_channel(photo, 2), expected)


def test_dcp_finds_the_airlight(scene):
    assert DarkChannelPrior().survey(TensorView(scene[1])) == pytest.approx(AIRLIGHT, abs=1e-3)


def test_dcp_removes_synthetic_haze(scene, psnr):
    clean, hazy = (images[..., :100] for images in scene)
    restored = build_classical("dcp", {"omega": 1.0, "guide_radius_px": 8}).restore(scene[1])[..., :100]
    assert psnr(restored, clean) > psnr(hazy, clean) + 8


def test_dcp_leaves_what_already_has_a_dark_channel():
    degraded = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    degraded[:, 1] = 0
    torch.testing.assert_close(build_classical("dcp").restore(degraded), degraded, atol=1e-5, rtol=0)
