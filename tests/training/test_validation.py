from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from restorekit.errors import SpecError, UsageError
from restorekit.training.validation import Validator

CPU = torch.device("cpu")


def test_scores_are_means_over_centre_crops_per_degradation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos = {name: rng.integers(40, 200, (300, 70, 3), dtype=np.uint8) for name in ("a.png", "b.png")}
    for name, photo in photos.items():
        cv2.imwrite(str(tmp_path / name), photo[..., ::-1])
    validator = Validator(tmp_path, {"as it is": "none"}, images=8)
    scores = validator.scores(lambda degraded: degraded + 10 / 255, device=CPU)
    crops = [photo[22:278, 3:67] for photo in photos.values()]
    expected = [peak_signal_noise_ratio(crop, crop + np.uint8(10), data_range=255) for crop in crops]
    assert scores["as it is/psnr"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert 0 < scores["as it is/ssim"] < 1


def test_degraded_crops_are_the_same_each_time(photos: Path) -> None:
    specs = {"noise25": "noise:sigma=25", "blur": "blur:sigma=1"}
    first, second = (Validator(photos, specs, images=2).scores(lambda x: x, device=CPU) for _ in range(2))
    assert first == second
    assert first.keys() == {"noise25/psnr", "noise25/ssim", "blur/psnr", "blur/ssim"}
    assert first["noise25/psnr"] == pytest.approx(20 * np.log10(255 / 25), abs=1.0)


def test_photos_are_chosen_evenly(photos: Path, tmp_path: Path) -> None:
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((32, 32, 3), 40 * index, np.uint8))
    seen: list[float] = []
    Validator(tmp_path, {"none": "none"}, images=3).scores(
        lambda image: seen.append(round(255 * float(image.mean()))) or image * 0.5, device=CPU
    )
    assert seen == [0, 80, 160]


def test_gray_validator_shows_three_equal_planes(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), photo)
    seen: list[torch.Tensor] = []
    Validator(tmp_path, {"none": "none"}, images=1, gray=True).scores(
        lambda image: seen.append(image) or image, device=CPU
    )
    expected = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY) / 255
    for plane in seen[0][0]:
        np.testing.assert_allclose(plane.numpy(), expected, atol=1e-6)


def test_validator_refuses_photos_that_are_too_small(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "thin.png"), np.zeros((20, 64, 3), np.uint8))
    with pytest.raises(UsageError, match=r"validation: thin\.png: expected at least 32 px on each side, got 64 x 20"):
        Validator(tmp_path, {"none": "none"}, images=1)


def test_validator_refuses_a_bad_spec(photos: Path) -> None:
    with pytest.raises(SpecError, match="did you mean noise"):
        Validator(photos, {"x": "nois"}, images=1)
