"""``restorekit refine train | restore | info`` as a user types it."""

import json

import numpy as np
import PIL.Image
import pytest
import torch
from typer.testing import CliRunner

from restorekit.cli.main import app
from restorekit.core.weights import load_weights
from restorekit.zoo import load, model_identity

RECIPE = """
method = "refine"
degradation = "noise:sigma=25"
[config]
base = "classical:median"
prior = "statistics"
[config.module]
prior_dim = 31
width = 4
[training]
steps = 2
batch_size = 2
crop_px = 16
warmup_steps = 0
validate_every = 0
workers = 0
"""


def call(*arguments):
    return CliRunner().invoke(app, ["refine", *(str(argument) for argument in arguments)])


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "a.png")
    return folder


def test_what_was_trained_restores_photos(recipe, photos, tmp_path) -> None:
    run = tmp_path / "run"
    result = call("train", recipe, "--data", photos, "-o", run, "--cache", tmp_path / "cache", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["step"] == 2
    weights = run / "weights.safetensors"
    assert {name.partition(".")[0] for name in load_weights(weights)} == {"module"}
    restored = call("restore", photos / "a.png", "-o", tmp_path / "out.png", "--model", f"file:{weights}")
    assert restored.exit_code == 0, restored.stderr
    with PIL.Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (50, 40)


def test_prior_of_a_trained_file_is_swapped_by_its_name(recipe, photos, tmp_path) -> None:
    run = tmp_path / "run"
    changes = [f"config.module.{change}" for change in ("parity=official", "prior_use=concat_1d")]
    switches = [part for change in changes for part in ("--set", change)]
    result = call("train", recipe, "--data", photos, "-o", run, "--cache", tmp_path / "cache", *switches)
    assert result.exit_code == 0, result.stderr
    model, restored = f"file:{run / 'weights.safetensors'}", {}
    for name in (model, f"{model}:swap=zero", f"{model}:swap=mean"):
        restored[name] = load(name).restore(torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert len({model_identity(name) for name in restored}) == 3
    true, zero, mean = restored.values()
    assert min((true - zero).abs().max(), (true - mean).abs().max(), (zero - mean).abs().max()) > 1e-6
    assert load(f"{model}:swap=zero").name == f"{model}:swap=zero"
    wrong = call("restore", photos / "a.png", "-o", tmp_path / "out.png", "--model", f"{model}:swap=nothing")
    assert wrong.exit_code == 2
    assert "config.swap: expected 'zero', 'shuffled', 'mean' or 'random'" in " ".join(wrong.stderr.split())


def test_gray_recipe_trains_and_restores_gray_and_coloured_photos(recipe, photos, tmp_path) -> None:
    recipe.write_text(
        RECIPE.replace("sigma=25", "sigma=25,colour=gray")
        .replace("[training]", "restored_planes = 1\ndegraded_planes = 1\n[training]\ngray = true")
        .replace("validate_every = 0", "validate_every = 2")
    )
    run, gray = tmp_path / "run", tmp_path / "gray.png"
    PIL.Image.open(photos / "a.png").convert("L").save(gray)
    result = call("train", recipe, "--data", photos, "--validation", photos, "-o", run, "--cache", tmp_path / "cache")
    assert result.exit_code == 0, result.stderr
    for source, mode in ((gray, "L"), (photos / "a.png", "RGB")):
        target = tmp_path / f"out_{mode}.png"
        restored = call("restore", source, "-o", target, "--model", f"file:{run / 'weights.safetensors'}")
        assert restored.exit_code == 0, restored.stderr
        with PIL.Image.open(target) as picture:
            assert (picture.mode, picture.size) == (mode, (50, 40))


def test_info_tells_settings_and_recipes() -> None:
    told = json.loads(call("info", "--json").stdout)
    tables = {table["table"]: {setting["name"] for setting in table["settings"]} for table in told["config"]}
    assert {"base", "prior", "features", "joint", "control"} <= tables["config"]
    assert {"prior_dim", "compose", "parity", "fusion"} <= tables["config.module"]
    assert {"refine/small", "refine/table01_lol_snr_clip"} <= set(told["recipes"])


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("config.prior=statistcs", "did you mean statistics"),
        ("config.base=bse", "did you mean base"),
        ("config.module.prior_dim=30", "config.module.prior_dim: expected 31, the length of the vectors of statistics"),
        ("config.features=middle", "only networks of restorekit.core"),
        ("config.base_network=nafnte", "did you mean nafnet"),
    ],
)
def test_wrong_names_are_refused_in_one_line(recipe, photos, tmp_path, switch: str, message: str) -> None:
    result = call("train", recipe, "--data", photos, "-o", tmp_path / "run", "--set", switch)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stderr.count("error:") == 1


def test_recipes_of_others_are_sent_to_their_command(photos, tmp_path) -> None:
    result = call("train", "refine/base_continued", "--data", photos, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "run: restorekit train refine/base_continued" in result.stderr
