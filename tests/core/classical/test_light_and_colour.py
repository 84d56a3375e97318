"""Gray world, gamma and CLAHE against their definitions and OpenCV."""

import cv2
import numpy as np
import pytest
import torch

from restorekit.core.classical import build_classical


def test_gray_world_makes_the_means_equal(photo_crop):
    degraded = photo_crop() * torch.tensor([1.0, 0.7, 0.5])[:, None, None]
    restored = build_classical("gray_world").restore(degraded)
    mean = float(degraded.mean())
    np.testing.assert_allclose(restored.mean(dim=(0, 2, 3)), [mean] * 3, rtol=1e-5)


def test_gray_world_limits_its_gains():
    degraded = torch.tensor([0.9, 0.01, 0.3])[None, :, None, None].expand(1, 3, 8, 8)
    restored = build_classical("gray_world", {"largest_gain": 2}).restore(degraded)
    np.testing.assert_allclose(restored[0, :, 0, 0], [0.9 / 2, 0.01 * 2, (0.9 + 0.01 + 0.3) / 3], rtol=1e-4)


@pytest.mark.parametrize("brightness", [0.1, 0.4, 1.0])
def test_gamma_moves_the_mean_to_the_target(photo_crop, brightness):
    degraded = photo_crop() * brightness
    restored = build_classical("gamma", {"target_mean": 0.5}).restore(degraded)
    assert float(restored.mean()) == pytest.approx(0.5, abs=1e-4)
    logs = restored[degraded > 0].log() / degraded[degraded > 0].log()
    assert float(logs[degraded[degraded > 0] < 1].std()) < 1e-3  # one exponent for all pixels


def test_gamma_takes_a_given_exponent(photo_crop):
    degraded = photo_crop()
    restored = build_classical("gamma", {"exponent": 0.5}).restore(degraded)
    torch.testing.assert_close(restored, degraded.sqrt())


def test_gamma_stops_at_the_strongest_exponent():
    restored = build_classical("gamma", {"strongest": 2}).restore(torch.full((1, 3, 8, 8), 0.01))
    torch.testing.assert_close(restored, torch.full((1, 3, 8, 8), 0.1))


def test_clahe_equals_opencv_on_eight_bit_lightness(photo_crop):
    degraded = photo_crop() * 0.4
    restored = build_classical("clahe", {"clip_limit": 3, "blocks": 4}).restore(degraded)
    lab, after = (
        cv2.cvtColor(images[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2Lab) for images in (degraded, restored)
    )
    levels = np.rint(lab[..., 0] * 2.55).astype(np.uint8)
    expected = cv2.createCLAHE(3, (4, 4)).apply(levels)
    inside = ((restored > 0.001) & (restored < 0.999)).all(dim=1)[0].numpy()  # elsewhere the gamut cuts
    assert inside.mean() > 0.9
    # half a level each for rounding and for OpenCV's Lab table
    np.testing.assert_allclose((after[..., 0] * 2.55)[inside], expected[inside], atol=1.0)


def test_clahe_raises_contrast_and_keeps_colour(photo_crop):
    degraded = photo_crop() * 0.3 + 0.3
    restored = build_classical("clahe").restore(degraded)
    assert restored.std() > 1.3 * degraded.std()
    before, after = (cv2.cvtColor(x[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2Lab) for x in (degraded, restored))
    assert np.median(np.abs(before[..., 1:] - after[..., 1:])) < 0.5
