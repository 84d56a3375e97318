"""The noise that was added is read from the difference, whatever clipping took of it."""

import numpy as np
import pytest

from restorekit.core.image.convention import Samples
from restorekit.diagnosis.clipping import censored_moments
from restorekit.diagnosis.difference import measure_difference


def plain_statistics(difference: Samples) -> tuple[float, float]:
    """Standard deviation in grey levels and lag-1 correlation, written out."""
    noise = difference.astype(np.float64) - difference.mean()
    across, down = (noise[:, 1:] * noise[:, :-1]).mean(), (noise[1:] * noise[:-1]).mean()
    return noise.std(), (across + down) / 2 / noise.var()


@pytest.mark.parametrize("correlation_px", [0.0, 0.7])
def test_unclipped_noise_on_middle_gray_has_the_plain_statistics(correlation_px, noisy):
    clean = np.full((200, 240, 3), 128, dtype=np.uint8)
    degraded = noisy(clean, 20, correlation_px)
    sigma, correlation = plain_statistics(degraded.astype(np.int16) - clean)
    assert measure_difference(degraded, clean) == pytest.approx((sigma, correlation), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("sigma", [15, 50])
@pytest.mark.parametrize("part", ["dark", "bright", "whole"])
def test_clipping_takes_nothing_from_the_reading(photos, noisy, part, sigma):
    photo = photos[0]
    clean = {"dark": photo // 4, "bright": 255 - photo // 5, "whole": photo}[part]
    degraded = noisy(clean, sigma)
    if part != "whole":
        assert plain_statistics(degraded.astype(np.int16) - clean)[0] < 0.97 * sigma
    found, correlation = measure_difference(degraded, clean)
    assert found == pytest.approx(sigma, rel=0.02)
    assert abs(correlation) < 0.02  # clipping lifts dark places, which are not scattered at random


def test_values_that_leave_the_range_are_taken_as_they_are():
    clean = np.full((128, 128, 3), 0.02, dtype=np.float32)
    noise = 0.1 * np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)
    found, _ = measure_difference(clean + noise, clean)
    assert found == pytest.approx(noise.std() * 255, rel=1e-3)


def test_more_than_noise_can_do_is_reported_as_it_is():
    clean = np.tile(np.array([[0, 255]], dtype=np.uint8), (64, 32))[..., None]
    found, _ = measure_difference(255 - clean, clean)
    assert found == pytest.approx(255)


def test_a_constant_is_no_noise(photos):
    assert measure_difference(photos[0] // 2 + 10, photos[0] // 2) == (0.0, 0.0)
    assert measure_difference(photos[0], photos[0]) == (0.0, 0.0)


@pytest.mark.parametrize(("mean", "sigma"), [(0.5, 0.1), (0.02, 0.2), (0.9, 0.3), (1.2, 0.4)])
def test_censored_moments_are_those_of_clipped_draws(mean, sigma):
    draws = np.clip(np.random.default_rng(1).normal(mean, sigma, 200_000), 0, 1)
    first, deviation = censored_moments(np.array([mean]), np.array([sigma]))
    assert first[0] == pytest.approx(draws.mean(), abs=2e-3)
    assert deviation[0] == pytest.approx(draws.std(), abs=2e-3)
