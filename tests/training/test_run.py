import csv
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from restorekit.core.weights import load_metadata, load_weights
from restorekit.errors import RecipeError, SpecError
from restorekit.recipe import DataFolders
from restorekit.training.run import run_recipe
from restorekit.training.settings import TrainingSettings
from restorekit.training.supervised import METHOD
from restorekit.zoo import load

NETWORK = {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]}


@dataclass(frozen=True)
class Recipe:
    data: DataFolders
    method: str = "supervised"
    seed: int = 5
    config: dict[str, object] = field(default_factory=lambda: {"network": "nafnet", "network_options": NETWORK})
    degradation: str | None = "noise:sigma=25"


@pytest.fixture
def recipe(photos: Path) -> Recipe:
    return Recipe(DataFolders(train=str(photos), validation=str(photos)))


SETTINGS = TrainingSettings(steps=3, batch_size=2, crop_px=16, validate_every=2, validation={"n": "noise:sigma=15"})


def test_recipe_becomes_weights_that_restore(recipe: Recipe, tmp_path: Path) -> None:
    notes: list[str] = []
    result = run_recipe(
        recipe, METHOD, SETTINGS, output=tmp_path / "run", cache=tmp_path / "cache", on_note=notes.append
    )
    assert result.finished
    assert notes[0].startswith("decoding 3 photos of ")
    with (tmp_path / "run" / "validation.csv").open() as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["2", "3"]
    metadata = load_metadata(result.weights)
    assert metadata["method"] == "supervised"
    assert metadata["degradation"] == "noise:sigma=25"
    assert metadata["network"] == "nafnet"
    assert load(f"file:{result.weights}").restore(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_same_recipe_gives_the_same_weights_whatever_ran_before(recipe: Recipe, tmp_path: Path) -> None:
    weights = []
    for name in ("one", "two"):
        torch.manual_seed(len(name) + len(weights))
        result = run_recipe(recipe, METHOD, SETTINGS, output=tmp_path / name, cache=tmp_path / "cache")
        weights.append(load_weights(result.weights))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        (
            {"data": DataFolders()},
            RecipeError,
            "data.train: expected a folder of clean photos, got nothing; give one by",
        ),
        ({"degradation": None}, RecipeError, "degradation: expected a spec such as noise"),
        ({"degradation": "nois"}, SpecError, "did you mean noise"),
    ],
)
def test_incomplete_recipe_is_refused_before_photos_are_decoded(
    recipe: Recipe, tmp_path: Path, changes: dict[str, object], error: type[Exception], problem: str
) -> None:
    broken = Recipe(**{**recipe.__dict__, **changes})
    with pytest.raises(error, match=problem):
        run_recipe(broken, METHOD, SETTINGS, output=tmp_path / "run", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_crop_that_the_network_cannot_halve_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"crop_px": 17})
    with pytest.raises(RecipeError, match=r"training\.crop_px: expected a multiple of 2, .* got 17"):
        run_recipe(recipe, METHOD, settings, output=tmp_path / "run", cache=tmp_path / "cache")


def test_method_without_training_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="method: expected one that is trained, got 'supervised', which has nothing"):
        run_recipe(recipe, object(), SETTINGS, output=tmp_path / "run")
