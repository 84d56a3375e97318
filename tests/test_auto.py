"""``auto``: each photo gets the model that its diagnosis proposes, and what is fine stays as it is."""

import json
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

import restorekit
import restorekit.auto
from restorekit.auto import AutoModel, auto_identity
from restorekit.cli.main import app
from restorekit.core.classical import build_classical
from restorekit.core.image.files import read_image
from restorekit.diagnosis.verdict import MODELS
from restorekit.errors import ImageError
from restorekit.zoo import model_identity

DARK_IS_FINE = 60
"""Mean grey level below which the diagnosis of these tests finds nothing wrong."""


@pytest.fixture
def loaded(monkeypatch):
    """Bright photos get the model "base", which is a median filter here; the list has every call of ``load``."""
    calls = []

    def diagnose(samples):
        return SimpleNamespace(model="base" if samples.mean() >= DARK_IS_FINE else None)

    def load(name, *, device, precision):
        calls.append((name, device, precision))
        restorer = build_classical("median")
        restorer.name = name
        return restorer

    monkeypatch.setattr(restorekit.auto, "diagnose", diagnose)
    monkeypatch.setattr(restorekit.auto, "load", load)
    return calls


@pytest.fixture
def photos(tmp_path):
    """Two noisy photos, of which one is dark."""
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 40, (2, 48, 64, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise[0]).save(folder / "dark.png")
    PIL.Image.fromarray(noise[1] + 120).save(folder / "bright.png")
    return folder


def test_models_are_loaded_once_and_only_when_needed(loaded):
    auto = AutoModel(device="cpu", precision="float32")
    dark, bright = np.full((40, 40, 3), 10, np.uint8), np.full((40, 40, 3), 200, np.uint8)
    assert auto.choose(dark) is None
    assert loaded == []
    assert auto.choose(bright) is auto.choose(bright)
    assert loaded == [("base", "cpu", "float32")]


def test_noise_is_found_and_gets_its_model(monkeypatch):
    asked = []
    monkeypatch.setattr(restorekit.auto, "load", lambda name, **_: asked.append(name) or build_classical("median"))
    clean = read_image("sample:coffee").samples[:256, :256]
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape)
    assert AutoModel().choose(np.clip(noisy, 0, 255).astype(np.uint8)) is not None
    assert asked == [MODELS["noise"]]


def test_cast_is_found_and_loses_its_colour():
    clean = read_image("sample:coffee").samples[:256, :256]
    warm = np.rint(255 * (clean / 255 * [1.0, 0.8, 0.5])).astype(np.uint8)
    restorer = AutoModel().choose(warm)
    assert restorer.name == "classical:gray_world"
    means = restorekit.restore(warm, "auto").mean(axis=(0, 1))
    assert np.ptp(means) < 0.1 * np.ptp(warm.mean(axis=(0, 1)))


def test_identity_changes_with_every_model_that_may_be_chosen():
    for model in filter(None, MODELS.values()):
        assert model_identity(model) in auto_identity()


def test_command_names_the_model_of_each_photo_and_keeps_what_is_fine(loaded, photos, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["restore", str(photos), "-o", str(out), "--model", "auto", "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["restored"], document["kept"]) == (1, 1)
    told = {photo["name"]: (photo["status"], photo["model"]) for photo in document["photos"]}
    assert told == {"bright.png": ("restored", "base"), "dark.png": ("kept", "none")}
    for name, same in (("dark.png", True), ("bright.png", False)):
        before, after = (np.asarray(PIL.Image.open(root / name)) for root in (photos, out))
        assert np.array_equal(before, after) == same


def test_recipe_settings_need_a_recipe(photos, tmp_path):
    result = CliRunner().invoke(
        app, ["restore", str(photos), "-o", str(tmp_path / "out"), "--model", "auto", "--set", "config.a=1"]
    )
    assert result.exit_code == 2
    assert "--set: expected a model of the form recipe:NAME, got auto" in result.stderr


def test_python_gives_back_the_very_pixels_of_what_is_fine(loaded):
    rng = np.random.default_rng(1)
    dark, bright = (rng.integers(low, low + 40, (48, 64, 3), dtype=np.uint8) for low in (0, 120))
    np.testing.assert_array_equal(restorekit.restore(dark, "auto"), dark)
    assert (restorekit.restore(bright, "auto") != bright).any()


def test_photos_too_small_to_diagnose_are_refused():
    with pytest.raises(ImageError, match="expected at least 32x32 px, got 8x8"):
        restorekit.restore(np.zeros((8, 8, 3), dtype=np.uint8), "auto")
