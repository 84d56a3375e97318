"""The two degradations that other libraries define."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from restorekit.core.degradation.chain import degrade_images
from restorekit.core.degradation.resample import resize


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def to_uint8(images):
    return (images * 255).round().byte().permute(0, 2, 3, 1).numpy()


def pillow_jpeg(samples, quality, subsampling):
    file = io.BytesIO()
    Image.fromarray(samples).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize(("quality", "subsampling"), [(10, "420"), (40, "420"), (90, "444"), (60, "422")])
def test_jpeg_matches_pillow(quality, subsampling, photos):
    degraded, _ = degrade_images(photos, f"jpeg:quality={quality},subsampling={subsampling}", generator=generator())
    pillow_name = {"420": "4:2:0", "422": "4:2:2", "444": "4:4:4"}[subsampling]
    for clean, ours in zip(to_uint8(photos), to_uint8(degraded), strict=True):
        expected = pillow_jpeg(clean, quality, pillow_name)
        assert np.abs(ours.astype(int) - expected).max() <= 1  # two builds of libjpeg may round differently


def test_jpeg_holds_whole_grey_levels(photos):
    degraded, _ = degrade_images(photos, "jpeg", generator=generator())
    assert torch.equal(degraded, (degraded * 255).round() / 255)


def test_jpeg_gradient_is_absent_or_passed_straight_on(photos):
    clean = photos.clone().requires_grad_()
    plain, _ = degrade_images(clean, "jpeg:quality=30", generator=generator())
    straight, _ = degrade_images(clean, "jpeg:quality=30,gradient=straight", generator=generator())
    assert not plain.requires_grad
    assert torch.equal(plain, straight.detach())
    straight.sum().backward()
    assert torch.equal(clean.grad, torch.ones_like(clean))


@pytest.mark.parametrize(
    ("method", "filter_"), [("bicubic", Image.Resampling.BICUBIC), ("bilinear", Image.Resampling.BILINEAR)]
)
@pytest.mark.parametrize("size", [(32, 40), (37, 29)])
def test_shrinking_is_antialiased_as_in_pillow(method, filter_, size, photos):
    small = resize(photos, size, method)
    for clean, ours in zip(photos, small, strict=True):
        expected = [np.asarray(Image.fromarray(c.numpy()).resize(size[::-1], filter_)) for c in clean]
        np.testing.assert_allclose(ours.numpy(), np.stack(expected), atol=0.006 if method == "bicubic" else 1e-5)


def test_area_shrinking_by_a_whole_factor_is_the_mean_of_squares(photos):
    expected = photos.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    torch.testing.assert_close(resize(photos, (24, 20), "area"), expected)


def test_nearest_shrinking_by_an_odd_factor_takes_the_centres(photos):
    torch.testing.assert_close(resize(photos[..., :90, :75], (30, 25), "nearest"), photos[:, :, 1:90:3, 1:75:3])


def test_resample_enlarges_the_shrunk_image_to_the_old_size(photos):
    degraded, _ = degrade_images(photos, "resample:factor=4,method=area,up=nearest", generator=generator())
    squares = resize(photos, (24, 20), "area").repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(degraded, squares)


def test_resample_of_factor_one_is_the_identity(photos):
    degraded, _ = degrade_images(photos, "resample:factor=1", generator=generator())
    torch.testing.assert_close(degraded, photos, atol=1e-6, rtol=0)
