"""The estimators recover known distributions; the features equal a loop written from the paper."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy.ndimage import correlate1d
from scipy.optimize import brentq
from scipy.special import gamma
from scipy.stats import gennorm

from restorekit.core.metric.natural_scene import asymmetric_gaussian, generalised_gaussian, patch_features

Plane = npt.NDArray[np.float64]


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_generalised_gaussian_recovers_shape_and_scale(shape: float, scale: float) -> None:
    samples = gennorm.rvs(shape, scale=scale, size=1_000_000, random_state=0)
    found_shape, found_scale = generalised_gaussian(torch.from_numpy(samples)[None])
    assert found_shape.item() == pytest.approx(shape, rel=0.03)
    assert found_scale.item() == pytest.approx(scale, rel=0.03)


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (0.5, 2.0), (3.0, 1.0)])
def test_asymmetric_gaussian_recovers_both_sides(shape: float, left: float, right: float) -> None:
    """Density of eq. 8: each side is half a generalised Gaussian and weighs as much as its scale."""
    rng = np.random.default_rng(0)
    magnitudes = np.abs(gennorm.rvs(shape, size=400_000, random_state=rng))
    to_right = rng.random(magnitudes.size) < right / (left + right)
    samples = np.where(to_right, right * magnitudes, -left * magnitudes)
    found = asymmetric_gaussian(torch.from_numpy(samples)[None])
    assert found.shape.item() == pytest.approx(shape, rel=0.04)
    assert found.left.item() == pytest.approx(left, rel=0.04)
    assert found.right.item() == pytest.approx(right, rel=0.04)
    assert found.mean.item() == pytest.approx(samples.mean(), abs=0.05 * max(left, right))


def test_estimators_treat_rows_independently() -> None:
    rows = torch.randn(3, 4, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 3
    together = generalised_gaussian(rows)[0]
    assert torch.allclose(together[1, 2], generalised_gaussian(rows[1, 2][None])[0][0])


def naive_shape(target: float, ratio: Callable[[float], float]) -> float:
    return float(brentq(lambda shape: ratio(shape) - target, 0.2, 10.0))


def moment_ratio(shape: float) -> float:
    return float(gamma(2 / shape) ** 2 / (gamma(1 / shape) * gamma(3 / shape)))


def naive_symmetric(values: Plane) -> list[float]:
    shape = naive_shape(np.mean(np.abs(values)) ** 2 / np.mean(values**2), moment_ratio)
    return [shape, float(np.sqrt(np.mean(values**2) * gamma(1 / shape) / gamma(3 / shape)))]


def naive_asymmetric(values: Plane) -> list[float]:
    left = np.sqrt(np.mean(values[values < 0] ** 2))
    right = np.sqrt(np.mean(values[values > 0] ** 2))
    ratio = left / right
    target = np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = naive_shape(target, moment_ratio)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return [shape, float((right - left) * scale * gamma(2 / shape) / gamma(1 / shape)), left * scale, right * scale]


def naive_normalised(plane: Plane) -> tuple[Plane, Plane]:
    weights = np.exp(-((np.arange(7) - 3.0) ** 2) / (2 * (7 / 6) ** 2))
    weights /= weights.sum()

    def local(values: Plane) -> Plane:
        return np.asarray(correlate1d(correlate1d(values, weights, 0, mode="nearest"), weights, 1, mode="nearest"))

    deviation = np.sqrt(np.abs(local(plane**2) - local(plane) ** 2))
    return (plane - local(plane)) / (deviation + 1), deviation


def naive_features(plane: Plane) -> tuple[Plane, Plane]:
    rows, columns = plane.shape[0] // 96, plane.shape[1] // 96
    plane = plane[: rows * 96, : columns * 96]
    shrunk = Image.fromarray(plane.astype(np.float32)).resize((columns * 48, rows * 48), Image.Resampling.BICUBIC)
    features, sharpness = [], []
    for row in range(rows):
        for column in range(columns):
            patch_values: list[float] = []
            for side, whole in ((96, plane), (48, np.asarray(shrunk, dtype=np.float64))):
                normalised, deviation = naive_normalised(whole)
                place = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
                patch = normalised[place]
                patch_values += naive_symmetric(patch)
                patch_values += naive_asymmetric(patch[:, :-1] * patch[:, 1:])
                patch_values += naive_asymmetric(patch[:-1, :] * patch[1:, :])
                patch_values += naive_asymmetric(patch[:-1, :-1] * patch[1:, 1:])
                patch_values += naive_asymmetric(patch[:-1, 1:] * patch[1:, :-1])
                if side == 96:
                    sharpness.append(deviation[place].mean())
            features.append(patch_values)
    return np.array(features), np.array(sharpness)


@pytest.mark.parametrize(("name", "height", "width"), [("coffee", 200, 300), ("astronaut", 192, 200)])
def test_patch_features_match_a_naive_reference(
    name: str, height: int, width: int, photo: Callable[..., npt.NDArray[np.uint8]]
) -> None:
    luma = photo(name, height, width).astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    expected_features, expected_sharpness = naive_features(luma)
    features, sharpness = patch_features(torch.from_numpy(luma)[None])
    assert features.shape == (1, (height // 96) * (width // 96), 36)
    assert np.allclose(sharpness[0].numpy(), expected_sharpness, rtol=1e-6)
    assert np.allclose(features[0].numpy(), expected_features, rtol=1e-3, atol=1e-4)


def test_patch_features_of_a_flat_patch_are_undefined_and_the_others_are_not() -> None:
    luma = torch.rand(1, 96, 192, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 255
    luma[:, :, :100] = 128.0
    features, _ = patch_features(luma)
    assert not torch.isfinite(features[0, 0]).all()
    assert torch.isfinite(features[0, 1]).all()
