"""An image that is what its label says passes; one that is not is named with what it really holds."""

import cv2
import numpy as np
import pytest

from restorekit.core.image.convention import Samples
from restorekit.diagnosis import audit
from restorekit.errors import ImageError, SpecError, UsageError

FLAT = np.full((512, 512, 3), 128, dtype=np.uint8)


def halved(samples: Samples) -> Samples:
    """Smaller by two with an antialiasing filter, as Pillow does it."""
    import PIL.Image

    small = PIL.Image.fromarray(samples).resize(
        (samples.shape[1] // 2, samples.shape[0] // 2), PIL.Image.Resampling.BICUBIC
    )
    return np.asarray(small)


def reference_statistics(degraded: Samples, clean: Samples) -> tuple[float, float]:
    """Standard deviation and lag-1 correlation of the difference, written out."""
    noise = degraded.astype(np.float64) - clean
    noise -= noise.mean()
    across = (noise[:, 1:] * noise[:, :-1]).mean()
    down = (noise[1:] * noise[:-1]).mean()
    return noise.std(), (across + down) / 2 / noise.var()


@pytest.mark.parametrize("with_reference", [True, False])
def test_noise_added_before_downsizing_is_found_out(noisy, with_reference):
    clean, degraded = halved(FLAT), halved(noisy(FLAT, 25))
    sigma, correlation = reference_statistics(degraded, clean)
    assert sigma < 12  # far from 25
    found = audit(degraded, clean if with_reference else None, "noise:sigma=25")
    assert found.source == ("difference" if with_reference else "blind")
    assert found.sigma == pytest.approx(sigma, rel=0.02 if with_reference else 0.12)
    assert found.correlation == pytest.approx(correlation, abs=0.01 if with_reference else 0.08)
    assert any("expected sigma 25, got" in problem and "autocorrelation" in problem for problem in found.problems)


def test_honest_noise_passes(photos, noisy):
    found = audit(noisy(photos[0], 25), photos[0], "noise:sigma=25")
    assert found.problems == ()
    assert found.sigma == pytest.approx(25, rel=0.1)
    assert abs(found.correlation) < 0.05


@pytest.mark.parametrize("sigma", [15, 50])
def test_honest_noise_passes_on_a_dark_photo(photos, noisy, sigma):
    dark = photos[0] // 4
    assert audit(noisy(dark, sigma), dark, f"noise:sigma={sigma}").problems == ()
    mislabelled = audit(noisy(dark, 0.6 * sigma), dark, f"noise:sigma={sigma}")
    assert mislabelled.sigma == pytest.approx(0.6 * sigma, rel=0.02)
    assert mislabelled.problems[0].startswith(f"noise: expected sigma {sigma}, got")


def test_texture_alone_makes_no_blind_alarm(noisy):
    texture = np.random.default_rng(8).standard_normal(FLAT.shape)
    texture = cv2.GaussianBlur(texture, (0, 0), 1.5)
    meadow = (128 + 20 * texture / texture.std()).astype(np.uint8)
    honest = audit(noisy(meadow, 15), None, "noise:sigma=15")
    assert honest.sigma > 20  # texture adds to it
    assert honest.correlation > 0.1
    assert honest.problems == ()
    assert audit(noisy(meadow, 25), None, "noise:sigma=50").problems != ()
    assert audit(noisy(meadow, 50), None, "noise:sigma=25").problems != ()


@pytest.mark.parametrize("with_reference", [True, False])
def test_correlated_noise_is_not_white(noisy, with_reference):
    (problem,) = audit(noisy(FLAT, 20, 0.6), FLAT if with_reference else None, "noise:sigma=20").problems
    assert "expected white noise, got autocorrelation" in problem


def test_noise_that_no_label_names_is_reported(noisy):
    (problem,) = audit(noisy(FLAT, 12), None, "none").problems
    assert problem.startswith("noise: expected none, got sigma 1")


def test_clipped_values_contradict_an_unclipped_label(noisy):
    bright = np.full((128, 128, 3), 240, dtype=np.uint8)
    problems = audit(noisy(bright, 20), bright, "noise:sigma=20,clip=0").problems
    assert any("expected unclipped values" in problem for problem in problems)


def test_blur_is_compared_with_the_label(photos):
    blurred = cv2.GaussianBlur(photos[1], (0, 0), 2)
    assert audit(blurred, photos[1], "blur:sigma=2").problems == ()
    assert any("blur: expected sigma 5 px" in line for line in audit(blurred, photos[1], "blur:sigma=5").problems)
    assert any("blur: expected none" in line for line in audit(blurred, photos[1], "none").problems)


def test_haze_that_is_not_there_is_missed(photos):
    assert any("haze: expected some" in line for line in audit(photos[0], photos[0], "haze").problems)


def test_hidden_compression_is_reported(photos):
    _, data = cv2.imencode(".jpg", photos[0], [cv2.IMWRITE_JPEG_QUALITY, 40])
    found = audit(cv2.imdecode(data, cv2.IMREAD_COLOR), photos[0], "blur:sigma=0..1")
    assert found.jpeg == pytest.approx(40, abs=2)
    assert any("jpeg: expected no compression" in line for line in found.problems)


def test_without_a_label_it_only_measures(noisy):
    assert audit(noisy(FLAT, 12)).problems == ()


def test_requests_that_make_no_sense_are_refused():
    with pytest.raises(ImageError, match="expected a reference of shape"):
        audit(FLAT, FLAT[:-1])
    with pytest.raises(UsageError, match="expected one chain, got the mixture"):
        audit(FLAT, None, "noise|rain")
    with pytest.raises(SpecError, match="did you mean noise"):
        audit(FLAT, None, "nosie:sigma=25")
