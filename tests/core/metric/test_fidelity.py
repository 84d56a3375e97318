"""PSNR, SSIM and MS-SSIM against closed forms, scikit-image and a naive reference."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import correlate
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from restorekit.core.metric import structure
from restorekit.core.metric.fidelity import PSNR, SSIM, AffinePSNR, MultiScaleSSIM
from restorekit.core.metric.protocol import parse_address
from restorekit.errors import ImageError

Photo = Callable[..., npt.NDArray[np.uint8]]
ToTensor = Callable[..., Tensor]
Plane = npt.NDArray[np.float64]

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}


def degraded(pixels: npt.NDArray[np.uint8], kind: str) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, 25, pixels.shape)
    return {
        "noise": np.clip(pixels + noise, 0, 255),
        "dark": pixels * 0.1,
        "bright": np.clip(pixels * 1.5, 0, 255),
        "inverted": 255 - pixels,
        "nearly": np.clip(pixels.astype(int) + (noise > 60), 0, 255),
    }[kind].astype(np.uint8)


KINDS = ["noise", "dark", "bright", "inverted", "nearly"]


@pytest.mark.parametrize("kind", KINDS)
def test_psnr_matches_scikit_image(kind: str, photo: Photo, tensor: ToTensor) -> None:
    clean = photo("coffee", 120, 150)
    expected = peak_signal_noise_ratio(clean, degraded(clean, kind), data_range=255)
    assert PSNR().score(tensor(degraded(clean, kind)), tensor(clean)).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("step", [1, 10, 255])
def test_psnr_of_a_constant_difference_is_its_closed_form(step: int) -> None:
    value = PSNR().score(torch.full((1, 3, 8, 8), step / 255), torch.zeros(1, 3, 8, 8))
    assert value.item() == pytest.approx(20 * math.log10(255 / step), abs=1e-6)


def test_psnr_of_identical_images_is_infinite(photo: Photo, tensor: ToTensor) -> None:
    images = tensor(photo("coffee", 20, 20))
    assert PSNR().score(images, images.clone()).tolist() == [math.inf]


@pytest.mark.parametrize("kind", KINDS)
def test_affine_psnr_is_that_after_least_squares(kind: str, photo: Photo, tensor: ToTensor) -> None:
    clean = photo("coffee", 120, 150)
    known = np.concatenate([degraded(clean, kind).reshape(-1, 3) / 255, np.ones((120 * 150, 1))], axis=1)
    target = clean.reshape(-1, 3) / 255
    matrix = np.linalg.lstsq(known, target, rcond=None)[0]
    expected = -10 * math.log10(np.square(known @ matrix - target).mean())
    found = AffinePSNR().score(tensor(degraded(clean, kind)), tensor(clean))
    assert found.item() == (math.inf if kind == "inverted" else pytest.approx(expected, abs=1e-6))


def test_affine_psnr_of_a_gray_image_is_finite(photo: Photo, tensor: ToTensor) -> None:
    """Its three colours are one, so the matrix is not unique; the error is: that of a line for each colour."""
    clean = photo("coffee", 60, 60)
    gray = clean.mean(axis=2).round().astype(np.uint8)
    lines = [np.polynomial.Polynomial.fit(gray.ravel(), clean[..., c].ravel(), 1) for c in range(3)]
    error = np.mean([np.square(line(gray) - clean[..., c]).mean() for c, line in enumerate(lines)])
    found = AffinePSNR().score(tensor(np.stack([gray] * 3, axis=2)), tensor(clean))
    assert found.item() == pytest.approx(10 * math.log10(255**2 / error), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_ssim_matches_scikit_image(kind: str, photo: Photo, tensor: ToTensor) -> None:
    clean = photo("coffee", 150, 160)
    expected = structural_similarity(clean, degraded(clean, kind), channel_axis=2, **GAUSSIAN)
    assert SSIM().score(tensor(degraded(clean, kind)), tensor(clean)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("height", [11, 12, 30, 31, 50, 97])
def test_ssim_matches_scikit_image_where_strips_begin_and_end(
    height: int, photo: Photo, tensor: ToTensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure, "STRIP_PIXELS", 20 * (40 - 10))  # strips of 20 rows
    clean = photo("chelsea", height, 40)
    expected = structural_similarity(clean, degraded(clean, "noise"), channel_axis=2, **GAUSSIAN)
    assert SSIM().score(tensor(degraded(clean, "noise")), tensor(clean)).item() == pytest.approx(expected, abs=1e-6)


def test_ssim_of_flat_images_is_the_luminance_closed_form() -> None:
    first, second = 100.0, 150.0
    constant = (0.01 * 255) ** 2
    expected = (2 * first * second + constant) / (first**2 + second**2 + constant)
    value = SSIM().score(torch.full((1, 3, 16, 16), first / 255), torch.full((1, 3, 16, 16), second / 255))
    assert value.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", [SSIM, MultiScaleSSIM])
def test_similarity_of_identical_images_is_one(
    metric: type[SSIM | MultiScaleSSIM], photo: Photo, tensor: ToTensor
) -> None:
    images = tensor(photo("coffee", 170, 170))
    assert metric().score(images, images.clone()).tolist() == [1.0]


def test_ssim_gradient_leads_uphill(photo: Photo, tensor: ToTensor) -> None:
    clean = tensor(photo("coffee", 40, 40))
    start = tensor(degraded(photo("coffee", 40, 40), "noise")).clamp(0.01, 0.99).requires_grad_()
    metric = SSIM(parse_address("ssim[float]")[1])
    before = metric.score(start, clean)
    before.sum().backward()
    assert start.grad is not None
    after = metric.score(start.detach() + 0.01 * start.grad / start.grad.abs().max(), clean)
    assert after.item() > before.item() + 1e-3


def naive_ssim(first: Plane, second: Plane) -> tuple[float, float]:
    """Wang 2004 word for word: one 11 x 11 kernel, windows inside the image; (mean SSIM, mean contrast-structure)."""
    axis = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    kernel = np.outer(axis, axis) / axis.sum() ** 2

    def local(plane: Plane) -> Plane:
        return np.asarray(correlate(plane, kernel)[5:-5, 5:-5])

    mean_1, mean_2 = local(first), local(second)
    variance_1, variance_2 = local(first**2) - mean_1**2, local(second**2) - mean_2**2
    covariance = local(first * second) - mean_1 * mean_2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    contrast = (2 * covariance + c2) / (variance_1 + variance_2 + c2)
    return float((luminance * contrast).mean()), float(contrast.mean())


def naive_half(plane: Plane) -> Plane:
    """Mean of each pixel with its right and lower neighbours (the border repeated), every second pixel."""
    padded = np.pad(plane, ((0, 1), (0, 1)), mode="edge")
    return np.asarray((padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:])[::2, ::2] / 4)


def naive_multi_scale(first: Plane, second: Plane) -> float:
    value = 1.0
    for scale, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
        similarity, contrast = naive_ssim(first, second)
        value *= max(similarity if scale == 4 else contrast, 0.0) ** weight
        first, second = naive_half(first), naive_half(second)
    return value


@pytest.mark.parametrize(("height", "width"), [(161, 161), (176, 200), (203, 175)])
@pytest.mark.parametrize("kind", ["noise", "dark", "inverted"])
def test_multi_scale_ssim_matches_a_naive_reference(
    kind: str, height: int, width: int, photo: Photo, tensor: ToTensor
) -> None:
    clean = photo("coffee", height, width)
    other = degraded(clean, kind)
    planes = [(clean[..., c].astype(np.float64), other[..., c].astype(np.float64)) for c in range(3)]
    expected = np.mean([naive_multi_scale(*pair) for pair in planes])
    assert MultiScaleSSIM().score(tensor(other), tensor(clean)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("address", "size", "message"),
    [
        ("ssim", 10, "ssim: expected at least 11 px a side after the crop, got 10x10"),
        ("ssim[uniform7]", 6, "ssim: expected at least 7 px"),
        ("ssim[gauss11-same]", 5, "ssim: expected at least 6 px"),
        ("ssim[crop3]", 16, "got 10x10"),
        ("ms-ssim", 160, "ms-ssim: expected at least 161 px a side after the crop, got 160x160"),
    ],
)
def test_image_smaller_than_the_window_is_refused(address: str, size: int, message: str) -> None:
    name, protocol = parse_address(address)
    metric = {"ssim": SSIM, "ms-ssim": MultiScaleSSIM}[name](protocol)
    images = torch.rand(1, 3, size, size)
    with pytest.raises(ImageError, match=message):
        metric.score(images, images)
    assert metric.score(torch.rand(1, 3, size + 1, size + 1), torch.rand(1, 3, size + 1, size + 1)).shape == (1,)
