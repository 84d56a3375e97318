"""What a network writes on a grid is told from what photos and their degradations hold."""

import importlib.resources

import numpy as np
import PIL.Image
import pytest
import torch

from restorekit.core.degradation.chain import degrade_images
from restorekit.core.image.convention import to_images
from restorekit.core.repetition import repeated_share


@pytest.fixture(scope="module")
def photo():
    path = importlib.resources.files("skimage") / "data" / "coffee.png"
    with PIL.Image.open(str(path)) as image:
        return to_images(np.asarray(image)[:256, :320])


def tiled(period, size, seed=0):
    """A random pattern that repeats every ``period`` px."""
    square = torch.randn(period, period, generator=torch.Generator().manual_seed(seed))
    return square.repeat(size[0] // period + 1, size[1] // period + 1)[: size[0], : size[1]]


def share_by_autocorrelation(region):
    """Mean autocorrelation of a 64x64 px region's detail over the shifts by multiples of 16 px; the region wraps."""
    detail = region - sum(torch.roll(region, shift, axis) for shift in (1, -1) for axis in (0, 1)) / 4
    shifts = [(down, right) for down in range(0, 64, 16) for right in range(0, 64, 16)][1:]
    products = [(detail * torch.roll(detail, shift, (0, 1))).mean() for shift in shifts]
    return float(torch.stack(products).mean() / detail.square().mean())


@pytest.mark.parametrize("period", [2, 4, 8, 16])
def test_a_pattern_on_a_flat_photo_is_all_of_its_detail(period):
    flat = torch.full((1, 3, 128, 192), 0.5)
    found = repeated_share(flat + 0.1 * tiled(period, (128, 192)), flat)
    assert found.shape == (6,)
    torch.testing.assert_close(found, torch.ones(6), atol=0.1, rtol=0)


def test_share_is_the_mean_autocorrelation_at_multiples_of_the_period():
    rng = torch.Generator().manual_seed(1)
    region = 0.5 + 0.1 * tiled(8, (64, 64)) + 0.1 * torch.randn(64, 64, generator=rng)
    found = repeated_share(region.expand(1, 3, -1, -1), torch.full((1, 3, 64, 64), 0.5))
    assert float(found) == pytest.approx(share_by_autocorrelation(region), abs=0.05)  # the border does not wrap here


@pytest.mark.parametrize("period", [5, 7, 12])
def test_other_periods_and_noise_do_not_count(period):
    flat = torch.full((1, 3, 128, 192), 0.5)
    rng = torch.Generator().manual_seed(2)
    assert repeated_share(flat + 0.1 * tiled(period, (128, 192)), flat).max() < 0.2
    assert repeated_share(flat + 0.2 * torch.randn(1, 1, 128, 192, generator=rng), flat).max() < 0.1


@pytest.mark.parametrize(
    "spec", ["noise:sigma=50,clip=0", "blur:sigma=3", "jpeg:quality=10", "low_light:exposure=0.01"]
)
def test_photos_have_none_however_their_input_was_degraded(photo, spec):
    degraded, _ = degrade_images(photo, spec, generator=torch.Generator().manual_seed(3))
    assert repeated_share(photo, degraded).max() < 0.1
    assert repeated_share(degraded, photo).max() < 0.1


def test_a_pattern_that_the_input_has_may_grow_stronger():
    flat = torch.full((1, 3, 128, 128), 0.5)
    pattern = tiled(8, (128, 128))
    assert repeated_share(flat + 0.2 * pattern, flat + 0.02 * pattern).max() < 0.01
    assert repeated_share(flat + 0.2 * pattern, flat + 0.02 * tiled(8, (128, 128), seed=1)).min() > 0.5


def test_what_nobody_sees_and_what_is_too_small_does_not_count():
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert repeated_share(flat + 0.004 * tiled(2, (64, 64)), flat).max() == 0
    assert repeated_share(flat[..., :63], flat[..., :63]).shape == (0,)
