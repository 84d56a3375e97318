"""Recipes say what the paper's release says, the small ones keep their promise, and every ``--set`` they name works."""

import re
from pathlib import Path

import pytest

from restorekit.constyle.config import PAPER_UNETS
from restorekit.constyle.settings import ConStyleConfig
from restorekit.core.networks import count_parameters
from restorekit.recipe import list_packaged, load_recipe
from restorekit.shipped import LARGEST_BYTES

FOLDER = Path(__file__).parents[2] / "recipes" / "constyle"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
NAMES = [name for name in list_packaged("recipes") if name.startswith("constyle/")]
TASKS = ("denoise", "deblur", "derain", "dehaze")


def config_of(name: str, *overrides: str) -> ConStyleConfig:
    return ConStyleConfig.model_validate(load_recipe(name, overrides).config)


def overrides_in(text: str) -> list[str]:
    return re.findall(r"--set ([^\s`]+)", text)


def changed(before: object, after: object, key: str = "") -> set[str]:
    """Dotted keys whose values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {name for part in before for name in changed(before[part], after[part], f"{key}.{part}")}
    return set() if before == after else {key.removeprefix(".")}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("block", ["nafnet", "restormer", "maxim"])
def test_rows_of_the_paper_have_its_networks_and_settings(block: str, task: str) -> None:
    """The table of the release: batch 16, but 8 for Restormer except dehazing; who freezes the encoder, and when."""
    recipe, config = load_recipe(f"constyle/{block}_{task}"), config_of(f"constyle/{block}_{task}")
    assert config.network.unet == PAPER_UNETS[block]
    assert (config.network.parity, config.contrast.parity, config.contrast.queue_size) == ("official",) * 2 + (65_760,)
    assert recipe.training.batch_size == (8 if block == "restormer" and task != "dehaze" else 16)
    never = task == "denoise" or (block, task) == ("restormer", "deblur")
    assert config.freeze_after == (None if never else 250_000)
    assert (recipe.seed, recipe.training.steps, recipe.training.crop_px) == (10, 703_632, 128)


def test_small_ships_and_its_plain_rival_is_as_large() -> None:
    guided, plain = (config_of(f"constyle/{name}").network for name in ("small", "small_plain"))
    assert not plain.listens
    assert count_parameters(plain) == pytest.approx(count_parameters(guided), rel=0.05)
    assert 2 * count_parameters(guided) < LARGEST_BYTES


def test_small_recipes_learn_the_same_from_what_base_learns_from() -> None:
    guided, plain = (load_recipe(f"constyle/{name}") for name in ("small", "small_plain"))
    assert guided.training == plain.training
    assert guided.degradation == plain.degradation
    assert kinds_in(guided) == kinds_in(load_recipe("base/router"))


def kinds_in(recipe):
    """The names of the degradations that a recipe mixes."""
    return {part.partition(":")[0] for part in re.split(r"[|+]", recipe.degradation.replace("\n", ""))}


def test_second_stage_of_v2_takes_the_encoder_of_the_first() -> None:
    first, second = config_of("constyle/v2_encoder").network, config_of("constyle/v2_nafnet")
    assert (first.parity, first.unet.encoder_width) == (second.network.parity, second.network.unet.encoder_width)
    assert second.encoder_weights == "runs/constyle/v2_encoder/weights.safetensors"
    assert second.freeze_after == 0


@pytest.mark.parametrize("name", ["constyle/small", "constyle/nafnet_denoise", "constyle/maxim_derain"])
@pytest.mark.parametrize("line", re.findall(r"^\| [^|]+ \| `(--set .+)` \|$", README, flags=re.MULTILINE))
def test_switches_of_the_readme_change_what_they_name(name: str, line: str) -> None:
    switches = overrides_in(line)
    named = {key for key, _, _ in (switch.partition("=") for switch in switches)}
    before, after = (load_recipe(name, overrides).config for overrides in ([], switches))
    tables = [ConStyleConfig.model_validate(config).model_dump() for config in (before, after)]
    difference = {f"config.{key}" for key in changed(*tables)}
    follows = {
        f"config.contrast.{key}" for key in ("normalise", "enqueue", "noise_negatives", "momentum_buffers", "style")
    }
    assert difference - follows <= named
    assert (difference == set()) == ("parity" in line and name == "constyle/small")


def test_readme_names_seven_switches_and_every_recipe() -> None:
    assert len(re.findall(r"^\| [^|]+ \| `--set", README, flags=re.MULTILINE)) == 7
    patterns = re.findall(r"`([a-z0-9_*]+)`", README.partition("## Switches")[0])
    unnamed = [name for name in NAMES if not any(Path(name).match(f"constyle/{pattern}") for pattern in patterns)]
    assert unnamed == []


@pytest.mark.parametrize("name", NAMES)
def test_changes_that_a_recipe_proposes_work(name: str) -> None:
    for override in overrides_in((FOLDER.parent / f"{name}.toml").read_text(encoding="utf-8")):
        assert load_recipe(name, [override]) != load_recipe(name)
