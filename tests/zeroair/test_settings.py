"""Settings: a preset under what a recipe says, every problem by its name, nothing lost on the way through a file."""

from typing import Any

import pytest

from restorekit.errors import RecipeError, UsageError
from restorekit.recipe import parse_document
from restorekit.zeroair.config import Proximal, Stage
from restorekit.zeroair.presets import ABLATIONS, PRESETS
from restorekit.zeroair.settings import PoolSettings, ZeroAIRSettings


def checked(**document: Any) -> ZeroAIRSettings:
    return parse_document(ZeroAIRSettings, document, "recipe", prefix="config.")


@pytest.mark.parametrize("name", PRESETS)
def test_preset_alone_is_the_preset(name: str) -> None:
    assert checked(preset=name).sampling == PRESETS[name]


def test_what_is_given_lies_over_the_preset_table_by_table() -> None:
    settings = checked(preset="reference-dehaze", sampling={"steps": 100, "fit": {"model": "affine"}, "proximal": {}})
    expected = PRESETS["reference-dehaze"]
    assert settings.sampling.steps == 100
    assert settings.sampling.fit == expected.fit.model_copy(update={"model": "affine"})
    assert settings.sampling.proximal == Proximal()
    assert settings.sampling.stages == expected.stages
    assert checked(sampling={"stages": [{"reconstruction": 0.5}]}).sampling.stages == (Stage(reconstruction=0.5),)


def test_ablations_change_the_preset_before_anything_else_does() -> None:
    settings = checked(preset="reference-dehaze", ablations=["uniform", "gan-lsgan"], sampling={"steps": 10})
    expected = ABLATIONS["gan-lsgan"](ABLATIONS["uniform"](PRESETS["reference-dehaze"]))
    assert settings.sampling == expected.model_copy(update={"steps": 10})


@pytest.mark.parametrize(
    "document",
    [
        {"preset": "gdp", "samples": 4, "prior": "folder"},
        {"preset": "reference-denoise", "ablations": ["no-stage-3"], "sampling": {"steps": 50, "proximal": {}}},
        {"sampling": {"auxiliary": "pool", "start_snr": 1.0}, "start_from": "nlm", "pool": {"count": 3}},
    ],
)
def test_settings_survive_json_and_being_dumped(document: dict[str, Any]) -> None:
    settings = checked(**document)
    assert ZeroAIRSettings.model_validate_json(settings.model_dump_json()) == settings
    assert ZeroAIRSettings.model_validate(settings.model_dump()) == settings


def test_changed_settings_keep_the_rest() -> None:
    settings = checked(samples=3, sampling={"steps": 7, "alpha": 0.1})
    assert settings.changed(sampling={"steps": 9}).sampling == settings.sampling.model_copy(update={"steps": 9})
    sample = settings.changed(preset="sample")
    assert (sample.samples, sample.sampling) == (3, PRESETS["sample"])
    with pytest.raises(UsageError, match=r"zeroair: 1 validation error(.|\n)*samples"):
        settings.changed(samples=0)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"preset": "blnd"}, r"config.preset: expected one of reference-dehaze, .* got 'blnd'; did you mean blind\?"),
        ({"ablations": ["uniforn"]}, r"config.ablations: expected one of uniform, .* got 'uniforn'; did you mean unif"),
        ({"sampling": {"alpah": 1}}, r"config.sampling.alpah: unknown key; expected one of .*; did you mean alpha\?"),
        ({"sampling": {"alpha": 2}}, "config.sampling.alpha: expected a number above 0 and below 1, got 2"),
        ({"sampling": {"fit": {"crop_px": 1}}}, "config.sampling.fit.crop_px: expected a whole number at least 16"),
        ({"sampling": 3}, "config.sampling: "),
        ({"samples": 0}, "config.samples: expected a whole number at least 1"),
        ({"prior": "a", "weights": "b"}, "prior: expected nothing beside weights = b, got a; drop one"),
        ({"revision": "main"}, "revision: expected a prior on the hub that it belongs to, got main alone"),
        ({"start_from": "nlm"}, "start_from: expected a warm start, got nlm without one; set sampling.start_snr = 0"),
    ],
)
def test_bad_settings_are_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        checked(**document)


def test_every_setting_is_explained() -> None:
    for model in (ZeroAIRSettings, PoolSettings, Proximal):
        assert [name for name, field in model.model_fields.items() if not field.description] == []
