"""Sigma is the one that was added: white, clipped, correlated; and no noise is no noise."""

import math

import numpy as np
import pytest

from restorekit.diagnosis.noise import BANDS, measure_noise, spectrum_correlation


def parts(samples):
    return [np.asarray(samples, dtype=np.float32) / 255]


@pytest.mark.parametrize(("sigma", "tolerance"), [(5, 0.25), (10, 0.1), (25, 0.1), (50, 0.1)])
def test_sigma_of_white_noise_is_that_of_the_photo(photos, noisy, sigma, tolerance):
    errors = [abs(measure_noise(parts(noisy(photo, sigma))).sigma / sigma - 1) for photo in photos]
    assert np.median(errors) <= tolerance


@pytest.mark.parametrize("level", [15, 240])
def test_sigma_is_given_back_what_clipping_took(noisy, level):
    clipped = noisy(np.full((192, 192, 3), level), 20)
    assert clipped.std() < 17
    assert measure_noise(parts(clipped)).sigma == pytest.approx(20, rel=0.1)


def test_unclipped_values_are_taken_as_they_are():
    field = 0.02 + 0.1 * np.random.default_rng(0).standard_normal((192, 192, 3))
    found = measure_noise([field.astype(np.float32)])
    assert found.sigma == pytest.approx(25.5, rel=0.05)
    assert found.clipped == 0


@pytest.mark.parametrize("correlation_px", [0.6, 0.9])
def test_correlated_noise_reports_its_autocorrelation(noisy, correlation_px):
    found = measure_noise(parts(noisy(np.full((256, 256, 3), 128), 10, correlation_px)))
    assert not found.white
    assert found.confidence <= 0.5
    assert found.correlation == pytest.approx(math.exp(-1 / (4 * correlation_px**2)), abs=0.08)
    assert found.sigma == pytest.approx(10, rel=0.25)


def test_white_noise_is_called_white_with_confidence(noisy):
    found = measure_noise(parts(noisy(np.full((192, 192, 3), 128), 10)))
    assert found.white
    assert abs(found.correlation) < 0.03
    assert found.confidence > 0.9


def test_flat_photo_has_no_noise():
    found = measure_noise(parts(np.full((64, 64, 3), 90)))
    assert found.sigma == pytest.approx(0, abs=1e-3)


def test_white_photo_says_nothing():
    found = measure_noise(parts(np.full((64, 64, 3), 255)))
    assert (found.sigma, found.confidence, found.clipped) == (0, 0, 1)


def test_level_spectrum_has_no_correlation():
    assert spectrum_correlation(np.full(len(BANDS) - 1, 3.0)) == pytest.approx(0, abs=1e-6)
