"""Channel, rounding, crop and GT-mean do what the address says."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr

from restorekit.core.image.convention import from_images, to_images
from restorekit.core.metric.fidelity import PSNR
from restorekit.core.metric.preparation import prepare, prepare_pair
from restorekit.core.metric.protocol import MetricProtocol, parse_address
from restorekit.errors import ImageError


def levels(images: torch.Tensor, options: str) -> torch.Tensor:
    return prepare(images, parse_address(f"psnr[{options}]")[1], name="psnr")


def test_every_8_bit_level_is_unchanged() -> None:
    samples = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert torch.equal(levels(to_images(samples), "u8")[0, 0].flatten(), torch.arange(256.0))


def test_rounding_is_what_saving_to_a_file_does() -> None:
    halfway = (torch.arange(255.0) + 0.5) / 255
    values = torch.cat([halfway, torch.rand(3 * 64 * 64 - 255, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1])
    images = values.reshape(1, 3, 64, 64)
    saved = to_images(from_images(images, "uint8"))
    assert torch.isposinf(PSNR().score(images, saved)).all()


def test_float_keeps_what_rounding_hides() -> None:
    images = torch.full((1, 3, 8, 8), 100 / 255)
    nearly = images + 0.3 / 255
    assert torch.isposinf(PSNR().score(nearly, images)).all()
    value = PSNR(parse_address("psnr[float]")[1]).score(nearly, images)
    assert value.item() == pytest.approx(20 * np.log10(255 / 0.3), abs=1e-3)


def test_16_bit_rounds_to_steps_of_one_65535th() -> None:
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    saved = to_images(from_images(images, "uint16"))
    assert torch.isposinf(PSNR(parse_address("psnr[u16]")[1]).score(images, saved)).all()
    assert torch.allclose(levels(images, "u16"), saved * 255, atol=1e-4)


@pytest.mark.parametrize("depth", ["u8", "u16", "float"])
def test_values_outside_the_range_are_clamped(depth: str) -> None:
    images = torch.tensor([-0.5, 0.0, 1.0, 1.5]).expand(1, 3, 4, 4)
    assert levels(images, depth)[0, 0, 0].tolist() == [0.0, 0.0, 255.0, 255.0]


def test_studio_luma_matches_scikit_image(
    photo: Callable[..., np.ndarray], tensor: Callable[..., torch.Tensor]
) -> None:
    pixels = photo("coffee", 40, 50)
    assert np.allclose(levels(tensor(pixels), "y-studio")[0, 0], rgb2ycbcr(pixels)[..., 0], atol=1e-3)


def test_full_luma_matches_opencv(photo: Callable[..., np.ndarray], tensor: Callable[..., torch.Tensor]) -> None:
    pixels = photo("coffee", 40, 50)
    gray = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)
    assert np.allclose(levels(tensor(pixels), "y-full")[0, 0], gray, atol=1e-3)


def test_crop_leaves_out_the_border_on_every_side() -> None:
    images = torch.zeros(1, 3, 10, 12)
    images[:, :, 2:-2, 2:-2] = 1.0
    assert levels(images, "crop2").unique().tolist() == [255.0]
    assert levels(images, "crop1").unique().tolist() == [0.0, 255.0]


def test_crop_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ImageError, match="psnr: expected more than 10 px a side for crop5, got 12x10"):
        levels(torch.zeros(1, 3, 10, 12), "crop5")


def test_gt_mean_scales_each_image_to_its_reference(
    photo: Callable[..., np.ndarray], tensor: Callable[..., torch.Tensor]
) -> None:
    reference = tensor(photo("coffee", 40, 50), photo("astronaut", 40, 50))
    darkened = reference * torch.tensor([0.5, 0.2]).view(2, 1, 1, 1)
    restored, target = prepare_pair(darkened, reference, MetricProtocol(gt_mean=True), name="psnr")
    assert torch.equal(restored, target)


def test_gt_mean_leaves_a_black_image_black() -> None:
    restored, _ = prepare_pair(
        torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), MetricProtocol(gt_mean=True), name="psnr"
    )
    assert restored.max() == 0.0


@pytest.mark.parametrize(
    ("restored", "reference", "message"),
    [
        ((1, 3, 8, 9), (1, 3, 8, 8), "psnr: expected restored and reference of one size, got 9x8 and 8x8; crop"),
        ((2, 3, 8, 8), (1, 3, 8, 8), r"got 8x8 \(batch of 2\) and 8x8"),
    ],
)
def test_different_sizes_are_refused_naming_both(
    restored: tuple[int, ...], reference: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        PSNR().score(torch.zeros(restored), torch.zeros(reference))


def test_missing_reference_is_refused() -> None:
    with pytest.raises(ImageError, match="psnr: expected a reference image, got none"):
        PSNR().score(torch.zeros(1, 3, 8, 8), None)


def test_nan_in_the_restored_image_is_refused() -> None:
    with pytest.raises(ImageError, match="psnr: restored: expected finite values"):
        PSNR().score(torch.full((1, 3, 8, 8), float("nan")), torch.zeros(1, 3, 8, 8))


def test_half_precision_images_are_scored_in_single_precision() -> None:
    images = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float16)
    assert levels(images, "float").dtype == torch.float32
