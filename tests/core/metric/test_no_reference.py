"""NIQE: lower for better images, with parameters that say where they come from."""

import json
from collections.abc import Callable
from importlib.resources import as_file, files

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from restorekit.core.metric.natural_scene import patch_features
from restorekit.core.metric.no_reference import (
    NIQE,
    PARAMETERS_FILE,
    NaturalModel,
    fit_natural_model,
    packaged_model,
)
from restorekit.core.metric.protocol import CHOICES, parse_address
from restorekit.errors import ImageError, UsageError

Photo = Callable[..., npt.NDArray[np.uint8]]
ToTensor = Callable[..., Tensor]
PHOTOS = ["coffee", "astronaut", "chelsea"]


@pytest.mark.parametrize("name", PHOTOS)
def test_niqe_rises_with_noise(name: str, photo: Photo, noisy: Photo, tensor: ToTensor) -> None:
    clean = photo(name, 288, 384)
    scores = NIQE().score(tensor(clean, *(noisy(clean, sigma) for sigma in (10, 25, 50))))
    assert torch.all(scores.diff() > 0.5)


@pytest.mark.parametrize("name", PHOTOS)
def test_niqe_rises_with_blur(name: str, photo: Photo, tensor: ToTensor) -> None:
    clean = photo(name, 288, 384)
    scores = NIQE().score(tensor(clean, *(cv2.GaussianBlur(clean, (0, 0), sigma) for sigma in (1, 2))))
    assert torch.all(scores.diff() > 0.5)


def test_niqe_matches_the_distance_formula(photo: Photo, tensor: ToTensor) -> None:
    pixels = photo("coffee", 300, 400)
    luma = torch.from_numpy(pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))[None]
    features = patch_features(luma)[0][0].numpy()
    model = packaged_model()
    difference = model.mean.numpy() - features.mean(axis=0)
    pooled = (model.covariance.numpy() + np.cov(features, rowvar=False)) / 2
    expected = np.sqrt(difference @ np.linalg.solve(pooled, difference))
    assert NIQE().score(tensor(pixels)).item() == pytest.approx(expected, rel=1e-3)


def test_distance_of_a_model_to_its_own_samples_is_nearly_zero() -> None:
    """With equal covariances it is the Mahalanobis distance of the means."""
    samples = torch.randn(20_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = samples * torch.tensor([1.0, 2.0, 0.5])
    model = NaturalModel(torch.zeros(3, dtype=torch.float64), torch.diag(torch.tensor([1.0, 4.0, 0.25]).double()))
    assert model.distance(samples).item() < 0.05
    assert model.distance(samples + torch.tensor([3.0, 0.0, 2.0])).item() == pytest.approx(5.0, rel=0.02)


def test_fit_keeps_the_sharp_patches_of_each_photo(photo: Photo, tensor: ToTensor) -> None:
    photos = [tensor(photo(name, 288, 384)) for name in PHOTOS]
    chosen = []
    for name in PHOTOS:
        luma = torch.from_numpy(photo(name, 288, 384).astype(np.float64) @ np.array([0.299, 0.587, 0.114]))[None]
        features, sharpness = patch_features(luma)
        chosen += [
            f for f, s in zip(features[0].numpy(), sharpness[0].numpy(), strict=True) if s > 0.75 * sharpness.max()
        ]
    with pytest.raises(UsageError, match=f"niqe: expected more than 36 sharp patches, got {len(chosen)}; give more"):
        fit_natural_model(photos)
    model, number, patches = fit_natural_model(photos * (36 // len(chosen) + 1))
    repeats = 36 // len(chosen) + 1
    assert (number, patches) == (3 * repeats, len(chosen) * repeats)
    assert np.allclose(model.mean, np.mean(chosen, axis=0), rtol=1e-3)
    assert np.allclose(model.covariance, np.cov(chosen * repeats, rowvar=False), rtol=1e-2, atol=1e-4)


def test_packaged_parameters_are_a_proper_gaussian() -> None:
    model = packaged_model()
    assert model.mean.shape == (36,)
    assert model.covariance.dtype == torch.float64
    assert torch.equal(model.covariance, model.covariance.T)
    assert torch.linalg.eigvalsh(model.covariance).min() > 0


def test_packaged_parameters_say_where_they_come_from() -> None:
    with (
        as_file(files("restorekit.core.metric") / PARAMETERS_FILE) as path,
        safe_open(path, framework="pt") as opened,
    ):
        record = json.loads(opened.metadata()["niqe"])
    assert f"params={record['name']}" == CHOICES["niqe"]["parameters"][0]
    assert record["photos"] >= 100
    assert record["patches"] > 36 * 10
    assert record["sharpness_threshold"] == 0.75
    assert all("/" not in folder for folder in record["folders"])


def test_flat_image_has_no_niqe() -> None:
    assert torch.isnan(NIQE().score(torch.full((1, 3, 200, 200), 0.5))).all()


def test_niqe_ignores_the_reference(photo: Photo, tensor: ToTensor) -> None:
    images = tensor(photo("coffee", 192, 192))
    assert torch.equal(NIQE().score(images, torch.zeros_like(images)), NIQE().score(images, None))


def test_niqe_of_an_image_with_room_for_one_patch_is_refused() -> None:
    with pytest.raises(ImageError, match="niqe: expected room for two patches of 96x96 px, got 191x191"):
        NIQE().score(torch.rand(1, 3, 191, 191))
    with pytest.raises(ImageError, match="niqe: expected room for two patches"):
        NIQE(parse_address("niqe[crop1]")[1]).score(torch.rand(1, 3, 96, 192))
