"""Where libraries disagree, each of them has an address here, and the address gives that library's number."""

from collections.abc import Callable

import kornia.metrics
import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)
from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

from restorekit.core.metric.base import make_metric
from restorekit.core.metric.protocol import aggregate

Batch = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def batch(
    photo: Callable[..., npt.NDArray[np.uint8]],
    noisy: Callable[..., npt.NDArray[np.uint8]],
    tensor: Callable[..., Tensor],
) -> Batch:
    """(restored, clean): a good and a bad restoration, so that pooling matters."""
    first, second = photo("coffee", 192, 176), photo("astronaut", 192, 176)
    return tensor(noisy(first, 4), noisy(second, 60)), tensor(first, second)


def pixels(images: Tensor) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())


def score(address: str, batch: Batch, preset: str | None = None) -> list[float]:
    values: list[float] = make_metric(address, preset=preset).score(*batch).tolist()
    return values


def test_psnr_per_image_matches_scikit_image_image_by_image(batch: Batch) -> None:
    expected = [
        peak_signal_noise_ratio(clean, restored, data_range=1)
        for restored, clean in zip(pixels(batch[0]), pixels(batch[1]), strict=True)
    ]
    assert score("psnr", batch, "skimage") == pytest.approx(expected, abs=1e-4)


def test_psnr_pooled_matches_torchmetrics_and_kornia(batch: Batch) -> None:
    for preset, expected in {
        "torchmetrics": torchmetrics_psnr(*batch, data_range=1.0),
        "kornia": kornia.metrics.psnr(*batch, max_val=1.0),
    }.items():
        metric = make_metric("psnr", preset=preset)
        value = aggregate(metric.score(*batch).tolist(), metric.protocol)
        assert value == pytest.approx(expected.item(), abs=1e-4)


def test_psnr_pooled_and_per_image_disagree_by_decibels(batch: Batch) -> None:
    per_image, pooled = make_metric("psnr"), make_metric("psnr[pooled]")
    values = per_image.score(*batch).tolist()
    assert aggregate(values, per_image.protocol) - aggregate(values, pooled.protocol) > 3.0


def test_ssim_uniform7_matches_the_default_of_scikit_image(batch: Batch) -> None:
    expected = [
        structural_similarity(clean, restored, channel_axis=2, data_range=1.0)
        for restored, clean in zip(pixels(batch[0]), pixels(batch[1]), strict=True)
    ]
    assert score("ssim", batch, "skimage") == pytest.approx(expected, abs=1e-5)


def test_ssim_same_matches_the_default_of_torchmetrics(batch: Batch) -> None:
    expected = structural_similarity_index_measure(*batch, data_range=1.0, reduction="none")
    assert score("ssim", batch, "torchmetrics") == pytest.approx(expected.tolist(), abs=1e-5)


def test_ssim_same_matches_the_default_of_kornia(batch: Batch) -> None:
    expected = kornia.metrics.ssim(*batch, window_size=11, eps=0.0).mean(dim=(1, 2, 3))
    assert score("ssim", batch, "kornia") == pytest.approx(expected.tolist(), abs=1e-5)


def test_ssim_gauss11_matches_kornia_valid(batch: Batch) -> None:
    expected = kornia.metrics.ssim(*batch, window_size=11, eps=0.0, padding="valid").mean(dim=(1, 2, 3))
    assert score("ssim[float|gauss11]", batch) == pytest.approx(expected.tolist(), abs=1e-5)


def test_ssim_windows_disagree_in_the_third_digit(batch: Batch) -> None:
    values = [score(f"ssim[float|{window}]", batch)[0] for window in ("gauss11", "uniform7", "gauss11-same")]
    gaps = [abs(a - b) for a, b in ((values[0], values[1]), (values[1], values[2]), (values[0], values[2]))]
    assert min(gaps) > 2e-4


@pytest.mark.parametrize("window", ["gauss11", "uniform7"])
@pytest.mark.parametrize("channel", ["y-studio", "y-full"])
def test_ssim_on_luma_matches_scikit_image(channel: str, window: str, batch: Batch) -> None:
    offset, weights = {
        "y-studio": (16 / 255, np.array([65.481, 128.553, 24.966]) / 255),
        "y-full": (0.0, np.array([0.299, 0.587, 0.114])),
    }[channel]
    luma = [offset + pixels(images).astype(np.float64) @ weights for images in batch]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if window == "gauss11" else {}
    expected = [
        structural_similarity(clean, restored, data_range=1.0, **options) for restored, clean in zip(*luma, strict=True)
    ]
    assert score(f"ssim[{channel}|{window}]", batch) == pytest.approx(expected, abs=1e-6)


def test_multi_scale_ssim_matches_torchmetrics_but_for_its_padded_coarsest_scale(batch: Batch) -> None:
    """torchmetrics pads the fifth scale only; with kornia's unpadded SSIM in its place the numbers agree."""
    gray = [images.mean(dim=1, keepdim=True) for images in batch]
    coarse = [torch.nn.functional.avg_pool2d(images, 16) for images in gray]
    padded, valid = (
        kornia.metrics.ssim(*coarse, window_size=11, eps=0.0, padding=padding).mean(dim=(1, 2, 3))
        for padding in ("same", "valid")
    )
    theirs = multiscale_structural_similarity_index_measure(*gray, data_range=1.0, reduction="none")
    expected = theirs * (valid / padded) ** 0.1333
    shown: Batch = (gray[0].expand(-1, 3, -1, -1), gray[1].expand(-1, 3, -1, -1))
    assert score("ms-ssim[float]", shown) == pytest.approx(expected.tolist(), abs=1e-5)
    assert score("ms-ssim[float]", shown) != pytest.approx(theirs.tolist(), abs=1e-4)
