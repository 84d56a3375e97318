"""The description of a degradation: numbers known in closed form for noise, tones, sharpness; and its loss."""

import math

import numpy as np
import pytest
import torch

from restorekit.constyle.description import DESCRIBED, describe, description_loss


def photo(batch: int = 2, side: int = 256):
    """Grey blocks of 8 px: nothing in the fine band."""
    blocks = torch.rand(batch, 1, side // 8, side // 8, generator=torch.Generator().manual_seed(0))
    return blocks.repeat_interleave(8, 2).repeat_interleave(8, 3).expand(-1, 3, -1, -1)


def described(degraded, clean):
    return dict(zip(DESCRIBED, describe(degraded, clean)[0].tolist(), strict=True))


def test_untouched_photo_has_nothing_but_the_constants() -> None:
    found = described(photo(), photo())
    assert {name: found[name] for name in ("fine", "shift", "skewness")} == dict.fromkeys(
        ("fine", "shift", "skewness"), 0
    )
    assert (found["contrast"], found["sharpness"]) == (1, 1)
    for band in ("fine", "middle", "coarse", "colour"):
        assert found[f"log {band}"] == pytest.approx(math.log(1 / 255) + 4, abs=1e-6)


def test_white_noise_falls_into_bands_as_means_of_independent_values_do() -> None:
    """Means of n values keep 1/n of the variance; the mean over RGB leaves 1/3 of it, and 2/3 to the colour."""
    sigma = 30 / 255
    clean = photo(1, 512)
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    found = described(noisy, clean)
    shares = {"fine": 3 / 4 / 3, "middle": 3 / 16 / 3, "coarse": 1 / 16 / 3, "colour": 3 / 4 * 2 / 3}
    for band, share in shares.items():
        assert found[f"log {band}"] == pytest.approx(math.log(sigma * math.sqrt(share) + 1 / 255) + 4, abs=0.02)
    assert found["fine"] == pytest.approx(10 * sigma / 2, rel=0.02)
    assert found["contrast"] == pytest.approx(1, abs=0.01)
    assert found["skewness"] == pytest.approx(0, abs=0.03)


def test_affine_tones_are_shift_and_contrast() -> None:
    clean = photo()
    found = described(0.4 * clean + 0.5, clean)
    assert found["contrast"] == pytest.approx(0.4, abs=0.01)
    assert found["shift"] == pytest.approx(3 * float((0.5 - 0.6 * clean[0]).mean()), abs=1e-5)
    assert found["log colour"] == pytest.approx(math.log(1 / 255) + 4, abs=1e-4)


def test_sharpness_is_the_slope_of_the_fine_band_and_bright_specks_are_skewed() -> None:
    clean = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    halves = torch.nn.functional.avg_pool2d(clean, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    softer = halves + 0.25 * (clean - halves)
    assert described(softer, clean)["sharpness"] == pytest.approx(0.25, abs=0.01)
    specks = clean.clone()
    specks[:, :, ::8, ::8] += 0.5
    assert described(specks, clean)["skewness"] > 1
    assert described(2 * clean - specks, clean)["skewness"] < -1


def test_loss_is_zero_for_a_code_that_tells_the_description_and_reads_no_more_of_it() -> None:
    clean = photo()
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    told = describe(noisy, clean)
    code = torch.rand(2, 128)
    code[:, : 2 * len(DESCRIBED)] = torch.stack([told.clamp(min=0), (-told).clamp(min=0)], dim=2).flatten(1)
    assert float(description_loss(code, noisy, clean)) == pytest.approx(0, abs=1e-12)
    code[:, 2 * len(DESCRIBED) :] = 7
    assert float(description_loss(code, noisy, clean)) == pytest.approx(0, abs=1e-12)
    code[:, 0] += 3  # Huber's loss beyond 1: the distance less a half
    assert float(description_loss(code, noisy, clean)) == pytest.approx(2.5 / len(DESCRIBED), rel=1e-5)


def test_every_description_is_finite_and_bounded_by_what_images_allow() -> None:
    generator = torch.Generator().manual_seed(3)
    for degraded, clean in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        found = describe(torch.full((1, 3, 8, 8), degraded), torch.full((1, 3, 8, 8), clean))
        assert torch.isfinite(found).all()
    wild = describe(torch.rand(8, 3, 8, 8, generator=generator).round(), torch.rand(8, 3, 8, 8, generator=generator))
    assert float(wild.abs().max()) < 10
    assert np.isfinite(wild.numpy()).all()
