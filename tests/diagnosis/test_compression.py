"""The quality is the one the encoder was given, from the file's tables and from the pixels alone."""

import io

import numpy as np
import PIL.Image
import pytest

from restorekit.diagnosis.compression import measure_jpeg, quality_of_tables, standard_table


def encoded(photo, quality):
    buffer = io.BytesIO()
    PIL.Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
    return PIL.Image.open(buffer)


def parts(samples):
    return [np.asarray(samples, dtype=np.float32) / 255]


@pytest.mark.parametrize("quality", [1, 10, 50, 75, 90, 95, 100])
def test_quality_of_tables_is_pillows(photos, quality):
    assert quality_of_tables(encoded(photos[0], quality).quantization) == quality


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_standard_table_is_libjpegs(photos, quality):
    assert sorted(standard_table(quality)) == sorted(encoded(photos[0], quality).quantization[0])


@pytest.mark.parametrize("quality", [10, 30, 60, 85])
def test_quality_is_read_from_pixels(photos, quality):
    found = measure_jpeg(parts(encoded(photos[0], quality)))
    assert found.source == "pixels"
    assert found.quality == pytest.approx(quality, abs=2)
    assert found.confidence > 0.5


def test_quality_is_read_from_a_crop(photos):
    found = measure_jpeg(parts(np.asarray(encoded(photos[0], 30))[3:, 5:]))
    assert found.quality == pytest.approx(30, abs=2)


def test_untouched_noise_has_no_history():
    field = np.random.default_rng(0).integers(0, 256, (128, 128, 3))
    found = measure_jpeg(parts(field))
    assert (found.quality, found.source) == (None, "none")
    assert found.blockiness < 0.05


def test_blockiness_rises_as_quality_falls(photos):
    strong, weak = (measure_jpeg(parts(encoded(photos[1], quality))).blockiness for quality in (10, 70))
    assert strong > 2 * weak
