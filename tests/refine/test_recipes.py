"""Recipes say what the release says, ablations are those of table 3, rivals differ in one thing, switches work."""

import re
from pathlib import Path

import pytest

from restorekit.recipe import list_packaged, load_recipe
from restorekit.refine.config import TABLE_3
from restorekit.refine.settings import RefineConfig

FOLDER = Path(__file__).parents[2] / "recipes" / "refine"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
NAMES = [name for name in list_packaged("recipes") if name.startswith("refine/")]
TABLES = [name for name in NAMES if name.startswith("refine/table")]
ABLATIONS = [row for row in TABLE_3 if row != "full"]


def config_of(name: str, *overrides: str) -> RefineConfig:
    return RefineConfig.model_validate(load_recipe(name, overrides).config)


def overrides_in(text: str) -> list[str]:
    return re.findall(r"--set ([^\s`]+)", text)


def changed(before: object, after: object, key: str = "") -> set[str]:
    """Dotted keys whose values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {
            name
            for part in before.keys() | after.keys()
            for name in changed(before.get(part), after.get(part), f"{key}.{part}")
        }
    return set() if before == after else {key.removeprefix(".")}


def difference(first: str, second: str) -> set[str]:
    """Dotted keys of two recipes that differ, the summary left out."""
    tables = [load_recipe(name).model_dump() | {"summary": ""} for name in (first, second)]
    checked = [
        table | {"config": config_of(name).model_dump()} for table, name in zip(tables, (first, second), strict=True)
    ]
    return changed(*checked)


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_the_paper_have_the_settings_of_the_release(name: str) -> None:
    training, config = load_recipe(name).training, config_of(name)
    assert (training.steps, training.batch_size, training.warmup_steps) == (200_000, 2, 0)
    assert (training.learning_rate, training.final_learning_rate, training.betas) == (1e-4, 1e-7, (0.9, 0.99))
    assert config.base_loss_weight == 1.0
    assert config.joint == (name != "refine/table01_lol_foreign_clip")


@pytest.mark.parametrize("row", ABLATIONS)
def test_ablations_are_the_full_setting_but_for_their_switch(row: str) -> None:
    assert difference("refine/table01_lol_snr_clip", f"refine/table03_lol_snr_{row}") == {
        f"config.module.{key}" for key in TABLE_3[row]
    }
    module = config_of(f"refine/table03_lol_snr_{row}").module
    assert {key: getattr(module, key) for key in TABLE_3[row]} == dict(TABLE_3[row])


def test_every_ablation_of_table_3_has_its_recipe() -> None:
    assert [name for name in NAMES if "table03" in name] == sorted(f"refine/table03_lol_snr_{row}" for row in ABLATIONS)


@pytest.mark.parametrize("name", TABLES)
def test_rows_quote_the_paper_and_say_that_nothing_was_measured(name: str) -> None:
    text = (FOLDER.parent / f"{name}.toml").read_text(encoding="utf-8")
    assert re.search(r"Published: .*\d\d\.\d\d dB", text)
    assert re.search(r"^# .*not measured", text, flags=re.MULTILINE)
    assert re.search(r"^# Protocol: .*restorekit score OUT CLEAN", text, flags=re.MULTILINE)


def test_rivals_of_small_differ_in_the_prior_alone() -> None:
    prior = {"config.prior", "config.embed_prior"}
    assert difference("refine/small", "refine/small_statistics") == prior | {"config.module.prior_dim"}
    for name in ("small", "joint"):
        without = difference(f"refine/{name}", f"refine/{name}_no_prior")
        assert without == prior | {"config.module.prior_dim", "config.module.prior_use"}
        assert not config_of(f"refine/{name}_no_prior").listens


def test_student_is_taught_by_what_small_trained_on_the_same_crops() -> None:
    assert difference("refine/small", "refine/student_small") == {
        f"config.{key}" for key in ("embed_prior", "learn", "student", "eps", "balance")
    }
    assert config_of("refine/student_small").learn == "student"


def test_joint_trains_the_same_module_and_base_too() -> None:
    differing = difference("refine/small", "refine/joint")
    joint = {"config.joint", "config.routes", "config.embed_base", "config.prior_pool"}
    assert {key for key in differing if not key.startswith("training.")} == joint
    assert config_of("refine/joint").joint


def test_base_is_continued_on_the_same_crops_for_as_many_steps() -> None:
    refined, continued = load_recipe("refine/joint"), load_recipe("refine/base_continued")
    assert continued.degradation == refined.degradation
    assert changed(refined.training.model_dump(), continued.training.model_dump()) == set()
    assert continued.config["network_options"] == load_recipe("base/router").config["network_options"]
    same = ("loss", "eps", "balance", "routes")
    assert {key: continued.config[key] for key in same} == {key: refined.config[key] for key in same}
    assert continued.config["learn"] == "experts"
    routes, known = (
        dict(zip(recipe.degradation.split("|"), recipe.config["routes"], strict=True))
        for recipe in (refined, load_recipe("base/router"))
    )
    assert routes.items() <= known.items()


@pytest.mark.parametrize("line", re.findall(r"^\| [^|]+ \| `(--set .+)` \|$", README, flags=re.MULTILINE))
def test_switches_of_the_readme_change_what_they_name(line: str) -> None:
    """In a recipe that is ours, or in one of the paper's."""
    switches = overrides_in(line)
    found = set()
    for name in ("refine/small", "refine/table01_lol_snr_clip"):
        before, after = (config_of(name, *overrides).model_dump() for overrides in ([], switches))
        found |= {f"config.{key}" for key in changed(before, after)}
    named = {switch.partition("=")[0] for switch in switches if not switch.endswith("embed_prior=false")}
    assert named <= found <= named | {"config.embed_prior"}


def test_readme_names_every_recipe_and_every_table() -> None:
    patterns = re.findall(r"`([a-z0-9_*]+)`", README.partition("## Switches")[0])
    assert [name for name in NAMES if not any(Path(name).match(f"refine/{pattern}") for pattern in patterns)] == []
    told = README.lower()
    assert [
        number for number in range(1, 11) if f"table {number}" not in told and f"table{number:02}" not in told
    ] == []


@pytest.mark.parametrize("name", NAMES)
def test_changes_that_a_recipe_proposes_are_understood(name: str) -> None:
    text = (FOLDER.parent / f"{name}.toml").read_text(encoding="utf-8")
    for override in overrides_in(text):
        value = re.sub("ITS_WIDTH", "100", override)
        assert load_recipe(name, [value]) != load_recipe(name)
