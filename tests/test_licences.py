"""What is known to be safe for commercial use: records decide, and what has no record is left out."""

import json

import pytest
from typer.testing import CliRunner

from restorekit import licences
from restorekit.cli.main import app
from restorekit.errors import ModelError
from restorekit.licences import obstacle, refuse_unsafe
from restorekit.shipped import ShippedModel, shipped_models
from restorekit.zoo import list_models

FREE = ShippedModel(
    name="free",
    method="supervised",
    summary="tiny",
    helps=("noise",),
    licence="Apache-2.0",
    parameters=1,
    bytes=1,
    sha256="0" * 64,
    recipe="base/noise",
    data=("a (3 photos, CC BY-SA 4.0)", "b, CC0-1.0"),
    steps=1,
    hours=1.0,
    machine="a box",
)


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def shipped(monkeypatch):
    """Three models: one free, one of a licence that forbids business, one that saw photos of unknown licence."""
    models = {
        "free": FREE,
        "academic": FREE.model_copy(update={"name": "academic", "licence": "CC-BY-NC-4.0"}),
        "murky": FREE.model_copy(
            update={"name": "murky", "data": ("a, MIT", "photos of the web", "c (5, CC BY-NC 4.0)")}
        ),
    }
    for module in ("restorekit.licences", "restorekit.zoo"):
        monkeypatch.setattr(f"{module}.shipped_models", lambda: models)
    return models


def test_licence_and_every_set_of_photos_must_allow_it(shipped):
    assert obstacle("free") is None
    assert obstacle("academic") == "its licence is CC-BY-NC-4.0"
    assert obstacle("murky") == (
        "the licence of its training data does not allow it, or is not known: photos of the web; c (5, CC BY-NC 4.0)"
    )


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("classical:nlm:sigma=25", None),
        ("recipe:classical/nlm_sigma25", None),
        ("recipe:zeroair/gdp", "a recipe does not say"),
        ("file:weights.safetensors", "does not say which photos it learned from"),
        ("spandrel:net.pth", "a foreign checkpoint has no licence"),
        ("python:mine:make", "code of your own"),
        ("nothing", "it has no record"),
    ],
)
def test_what_has_no_record_is_not_known_to_be_safe(model, reason):
    found = obstacle(model)
    assert (found is None) == (reason is None)
    assert reason is None or reason in found


def test_refusal_names_every_model_and_its_reason(shipped):
    refuse_unsafe(["free", "classical:tv"])
    with pytest.raises(ModelError, match=r"got academic \(its licence.*\); spandrel:x.pth \(a foreign checkpoint"):
        refuse_unsafe(["free", "academic", "spandrel:x.pth"])


def test_list_leaves_out_what_is_not_known_to_be_safe_and_says_so(shipped):
    result = call("models", "list", "--commercial-safe", "--json")
    names = [record["name"] for record in json.loads(result.stdout)]
    assert "free" in names
    assert "classical:nlm" in names
    assert {"academic", "murky"}.isdisjoint(names)
    assert "left out: academic: its licence is CC-BY-NC-4.0" in result.stderr
    assert "also left out: file:, spandrel: and python: models" in result.stderr
    assert {"academic", "murky"} <= {record.name for record in list_models()}


def test_compare_refuses_before_any_work(tmp_path):
    result = call("compare", "sample:coffee@256", "--degrade", "noise", "-m", "spandrel:a.pth", "--commercial-safe")
    assert result.exit_code == 2
    assert "spandrel:a.pth (a foreign checkpoint has no licence that restorekit knows)" in result.stderr


@pytest.mark.parametrize("model", ["file:w.safetensors", "spandrel:x.pth", "python:os:path"])
def test_restore_refuses_before_any_work(tmp_path, model):
    result = CliRunner().invoke(
        app, ["restore", "sample:coffee", "-o", str(tmp_path / "out"), "-m", model, "--commercial-safe"]
    )
    assert result.exit_code == 2
    assert (
        f"--commercial-safe: expected models whose licences are known to allow commercial use, got {model}"
        in result.stderr
    )
    assert not (tmp_path / "out").exists()


def test_auto_is_as_safe_as_what_it_chooses_from(monkeypatch):
    assert obstacle("auto") is None
    monkeypatch.setitem(licences.MODELS, "noise", "file:w.safetensors")
    assert "a weight file" in obstacle("auto")


def test_list_shows_licences_and_show_the_hash_and_the_photos(shipped):
    assert "CC-BY-NC-4.0" in call("models", "list").stdout
    shown = call("models", "show", "free").stdout
    assert f"SHA-256 {'0' * 64}" in shown
    assert "learned from a (3 photos, CC BY-SA 4.0)" in shown
    assert json.loads(call("models", "show", "free", "--json").stdout)["sha256"] == "0" * 64


@pytest.mark.parametrize("name", shipped_models())
def test_models_that_ship_are_safe(name):
    assert licences.obstacle(name) is None
