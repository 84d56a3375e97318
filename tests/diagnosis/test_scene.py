"""Light, colour and haze of scenes whose numbers are known; streaks that fall at a known angle."""

import numpy as np
import pytest
import torch

from restorekit.core.degradation.chain import degrade_images
from restorekit.diagnosis.rain import measure_streaks
from restorekit.diagnosis.scene import measure_cast, measure_exposure, measure_haze


def mosaic(seed=0):
    """Small patches of pure colours: in every neighbourhood some channel is 0."""
    colours = (
        np.random.default_rng(seed).random((64, 64, 3)) * np.eye(3)[np.random.default_rng(1).integers(0, 3, (64, 64))]
    )
    return np.repeat(np.repeat(colours, 4, axis=0), 4, axis=1).astype(np.float32)


def test_exposure_counts_dark_and_bright_pixels():
    photo = np.full((100, 100, 3), 0.5, dtype=np.float32)
    photo[:30], photo[90:] = 0.01, 1.0
    found = measure_exposure(photo)
    assert found.under == pytest.approx(0.3)
    assert found.over == pytest.approx(0.1)
    assert found.mean == pytest.approx(0.3 * 0.01 + 0.6 * 0.5 + 0.1)


@pytest.mark.parametrize("transmission", [0.3, 0.6, 1.0])
def test_haze_density_is_one_minus_transmission(transmission):
    airlight = 0.9
    hazy = mosaic() * transmission + airlight * (1 - transmission)
    hazy[:24, :24] = airlight  # somewhere the haze itself is seen
    found = measure_haze(hazy.astype(np.float32))
    assert found.density == pytest.approx(1 - transmission, abs=0.05)


def test_cast_names_the_channel_that_is_too_strong():
    gray = np.random.default_rng(0).uniform(0.2, 0.7, (64, 64, 1)).astype(np.float32).repeat(3, axis=2)
    found = measure_cast(gray * np.array([1.3, 1.0, 1.0], dtype=np.float32))
    mean = 3.3 / 3
    assert found.red == pytest.approx(1.3 / mean - 1, abs=0.01)
    assert found.green == found.blue == pytest.approx(1 / mean - 1, abs=0.01)
    assert found.highlights == pytest.approx(np.linalg.norm([1.3 / mean - 1, 1 / mean - 1, 1 / mean - 1]), abs=0.01)
    assert not found.clear  # a scene of that colour is as likely
    assert measure_cast(gray).strength == pytest.approx(0, abs=1e-3)


def test_cast_is_clear_only_where_highlights_share_it():
    gray = np.random.default_rng(0).uniform(0.2, 0.7, (64, 64, 1)).astype(np.float32).repeat(3, axis=2)
    orange = gray * np.array([1.2, 0.9, 0.5], dtype=np.float32)
    assert measure_cast(orange).clear
    under_white_sky = orange.copy()
    under_white_sky[:8] = 0.93
    found = measure_cast(under_white_sky)
    assert found.strength > 0.3
    assert not found.clear


@pytest.mark.parametrize("angle", [-30, 0, 30])
def test_streaks_have_their_direction(angle):
    clean = torch.full((1, 3, 200, 200), 0.3)
    spec = f"rain:angle={angle},spread=0,layers=1,length=30,width=1.5,density=0.1,veil=0"
    rainy, _ = degrade_images(clean, spec, generator=torch.Generator().manual_seed(0))
    found = measure_streaks(np.ascontiguousarray(rainy[0].permute(1, 2, 0).numpy()))
    assert found.direction == pytest.approx(angle, abs=15)
    assert found.excess > 0.01


def test_flat_photo_has_no_streaks():
    found = measure_streaks(np.full((64, 64, 3), 0.4, dtype=np.float32))
    assert found.excess == 0
    assert np.isfinite(found.features).all()
