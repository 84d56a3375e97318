"""One call names what was done to a photo, whatever the photo comes as."""

import json

import numpy as np
import PIL.Image
import pytest
import torch

from restorekit.core.degradation.chain import degrade_images
from restorekit.core.image.colour import linear_to_srgb, srgb_to_linear
from restorekit.core.image.convention import from_images, to_images
from restorekit.core.image.files import SourceImage
from restorekit.core.image.metadata import FileRecord
from restorekit.core.randomness import generator_for
from restorekit.diagnosis import diagnose
from restorekit.diagnosis.verdict import MODELS, PROBLEMS
from restorekit.errors import ImageError, UnreadableImage

STRONG = [
    ("noise", "noise:sigma=25"),
    ("haze", "haze:beta=1.8,airlight=0.9"),
    ("low_light", "low_light:exposure=0.01"),
    ("blur", "blur:sigma=3"),
    ("jpeg", "jpeg:quality=15"),
    ("rain", "rain:density=0.3,brightness=0.5"),
]


@pytest.mark.parametrize(("problem", "spec"), STRONG)
def test_verdict_names_what_was_done(photos, problem, spec):
    images, _ = degrade_images(to_images(photos[0]), spec, generator=generator_for(0, "coffee"))
    found = diagnose(from_images(images, np.uint8))
    assert found.problem == problem
    assert found.model == MODELS[problem]
    assert found.confidence == max(found.probabilities.values())
    assert set(found.probabilities) == set(PROBLEMS)
    assert sum(found.probabilities.values()) == pytest.approx(1)


def warm(samples):
    """The photo in very warm light, such as a candle's: linear red, green, blue times 1, 0.6, 0.25."""
    linear = srgb_to_linear(to_images(samples))
    return from_images(linear_to_srgb(linear * torch.tensor([1, 0.6, 0.25])[:, None, None]), np.uint8)


def test_clear_cast_is_named_where_nothing_else_is_wrong(photos):
    cast = diagnose(warm(photos[1]))
    assert (cast.problem, cast.model) == ("colour_cast", "classical:gray_world")
    assert cast.confidence == cast.colour_cast.confidence
    assert cast.probabilities["clean"] == max(cast.probabilities.values())
    images, _ = degrade_images(to_images(photos[1]), "noise:sigma=25", generator=generator_for(0, "astronaut"))
    assert diagnose(warm(from_images(images, np.uint8))).problem == "noise"


@pytest.mark.parametrize("photo", range(3))
def test_colourful_photos_have_no_clear_cast(photos, photo):
    assert not diagnose(photos[photo]).colour_cast.clear


def test_record_is_plain_json_with_confidences(photos):
    record = json.loads(json.dumps(diagnose(photos[0]).as_record()))
    for measured in ("noise", "jpeg", "blur", "exposure", "colour_cast", "haze", "rain"):
        assert 0 <= record[measured]["confidence"] <= 1
    assert "features" not in json.dumps(record)


def test_path_array_and_source_agree(photos, tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(photos[0]).save(path)
    readings = [diagnose(item) for item in (path, photos[0], SourceImage(photos[0], None, FileRecord()))]
    assert len({json.dumps(found.as_record()) for found in readings}) == 1


def test_jpeg_file_tells_its_quality(photos, tmp_path):
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(photos[0]).save(path, quality=92)
    found = diagnose(path).jpeg
    assert (found.quality, found.source, found.confidence) == (92, "tables", 1)


def test_depth_changes_no_verdict(photos):
    eight, sixteen = diagnose(photos[0]), diagnose(photos[0].astype(np.uint16) * 257)
    assert eight.problem == sixteen.problem
    assert sixteen.noise.sigma == pytest.approx(eight.noise.sigma, rel=1e-3)


def test_gray_is_a_photo(photos):
    assert diagnose(photos[0][..., 1:2]).colour_cast.strength == pytest.approx(0, abs=1e-5)


def test_large_photo_is_looked_at_in_windows(noisy):
    field = noisy(np.full((1100, 1300, 3), 128), 12)
    assert diagnose(field).noise.sigma == pytest.approx(12, rel=0.05)


def test_what_is_no_photo_is_refused(tmp_path):
    with pytest.raises(ImageError, match="expected at least 32x32 px, got 20x40"):
        diagnose(np.zeros((40, 20, 3), dtype=np.uint8))
    with pytest.raises(ImageError, match="expected finite values"):
        diagnose(np.full((40, 40, 3), np.nan, dtype=np.float32))
    with pytest.raises(ImageError, match="expected samples of shape"):
        diagnose(np.zeros((40, 40, 4), dtype=np.uint8))
    with pytest.raises(UnreadableImage, match="absent"):
        diagnose(tmp_path / "absent.png")
