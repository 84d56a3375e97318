"""The bundled photos: found without importing scikit-image, cropped where it is interesting."""

import subprocess
import sys

import numpy as np
import pytest
from skimage import data

from restorekit.core.image.files import read_image
from restorekit.core.image.samples import SAMPLES, is_sample, sample_file_name, sample_path
from restorekit.errors import DependencyError, UsageError


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_scikit_image_s_photo(name: str) -> None:
    expected = getattr(data, name)()
    np.testing.assert_array_equal(read_image(f"sample:{name}").samples, expected)
    sample = SAMPLES[name]
    crop = expected[sample.crop_top : sample.crop_top + 256, sample.crop_left : sample.crop_left + 256]
    assert crop.shape == (256, 256, 3)
    image = read_image(f"sample:{name}@256")
    np.testing.assert_array_equal(image.samples, crop)
    assert image.record.name == f"sample:{name}@256"


def test_sample_licences_allow_everything() -> None:
    assert {sample.licence for sample in SAMPLES.values()} == {"CC0 1.0", "public domain"}
    assert set(SAMPLES) == {"coffee", "astronaut", "chelsea", "rocket"}


def test_sample_is_found_without_importing_scikit_image() -> None:
    script = (
        "import sys; from restorekit.core.image.samples import sample_path\n"
        "assert sample_path('sample:coffee').is_file(); assert 'skimage' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).stderr == b""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample:cofee", "expected one of coffee, astronaut, chelsea, rocket, got 'cofee'; did you mean coffee?"),
        ("sample:coffee@512", "expected sample:coffee or sample:coffee@256, got the size '512'"),
    ],
)
def test_sample_names_are_checked(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        read_image(text)


def test_sample_absence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="expected scikit-image's bundled photos, got none; install scikit-image"):
        sample_path("sample:coffee")


def test_sample_names_give_file_names() -> None:
    assert is_sample("sample:coffee")
    assert not is_sample("samples/coffee.png")
    assert sample_file_name("sample:rocket@256") == "rocket_256.jpg"
