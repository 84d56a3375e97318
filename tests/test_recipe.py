"""Recipes: found by name, overridden, and refused with every problem at once."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from restorekit.errors import ModelError, RecipeError
from restorekit.recipe import find_packaged, list_packaged, load_recipe, parse_document, read_toml, recipe_hash
from restorekit.suite import Suite, load_suite
from restorekit.zoo import load

CHECKOUT = Path(__file__).parents[1]
GOOD = 'method = "classical"\n[config]\nalgorithm = "nlm"\n'


@pytest.mark.parametrize("name", list_packaged("recipes"))
def test_every_shipped_recipe_is_valid_and_builds(name):
    recipe = load_recipe(name)
    assert recipe.summary
    assert load(f"recipe:{name}").spec.halo >= 0
    header = find_packaged("recipes", name).read_text().partition("\n")[0]
    assert (
        f"restorekit train {name}" in header or f"restorekit restore photo.png -o out --model recipe:{name}" in header
    )


@pytest.mark.parametrize("name", list_packaged("suites"))
def test_every_shipped_suite_is_valid(name):
    from restorekit.core.degradation.chain import parse_degradation
    from restorekit.core.metric.protocol import format_address, parse_address

    suite = load_suite(name)
    for entry in suite.sets:
        assert entry.degrade is None or parse_degradation(entry.degrade)
        assert all(format_address(*parse_address(text)) == text for text in suite.metrics_of(entry) if "[" in text)


@pytest.mark.parametrize(("kind", "folder"), [("recipes", "recipes"), ("suites", "benchmarks/suites")])
def test_every_file_of_the_checkout_ships(kind, folder):
    files = {
        path.relative_to(CHECKOUT / folder).with_suffix("").as_posix() for path in (CHECKOUT / folder).rglob("*.toml")
    }
    assert files == set(list_packaged(kind))


def test_unknown_recipe_lists_what_ships_and_proposes():
    with pytest.raises(RecipeError, match=r"classical/nlm_sigma25.*did you mean classical/nlm_sigma25"):
        load_recipe("classical/nlm_sigma20")


def test_all_problems_of_a_recipe_are_named_at_once(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('metod = "x"\nseed = -1\nmethod = "classical"\n[data]\ntrian = "a"\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    message = str(caught.value)
    assert "3 problems" in message
    assert "metod: unknown key" in message
    assert "did you mean method?" in message
    assert "seed: expected a whole number at least 0, got -1" in message
    assert "data.trian: unknown key; expected one of train, validation; did you mean train?" in message


def test_problems_of_the_methods_config_carry_their_key(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('method = "classical"\n[config]\nalgoritm = "nlm"\n')
    with pytest.raises(RecipeError, match=r"config\.algoritm: unknown key.*did you mean algorithm\?"):
        load_recipe(str(path))


def test_unknown_methods_are_named_with_the_valid_ones(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('method = "classic"\n')
    with pytest.raises(ModelError, match=r"method: expected one of classical.*got 'classic'; did you mean classical\?"):
        load_recipe(str(path))


def test_broken_toml_names_file_and_line(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("method = \n")
    with pytest.raises(RecipeError, match=r"bad\.toml: expected TOML; .*line 1"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("override", "key", "expected"),
    [("seed=7", "seed", 7), ("data.train=/photos", "data", {"train": "/photos"}), ('summary="a b"', "summary", "a b")],
)
def test_overrides_change_one_value(tmp_path, override, key, expected):
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    assert read_toml(path, [override])[key] == expected


@pytest.mark.parametrize(("override", "message"), [("seed", "key=value"), ("method.x=1", "'method' to be a table")])
def test_bad_overrides_say_what_was_expected(tmp_path, override, message):
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(path), [override])


def test_hash_follows_the_settings_only(tmp_path):
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    plain = recipe_hash(load_recipe(str(path)))
    path.write_text("# a comment\n" + GOOD)
    assert recipe_hash(load_recipe(str(path))) == plain
    assert recipe_hash(load_recipe(str(path), ["seed=1"])) != plain


def test_suites_need_exactly_one_source():
    document = {"title": "t", "sets": [{"name": "a", "clean": "b"}]}
    with pytest.raises(RecipeError, match="either degraded = FOLDER or degrade = SPEC"):
        parse_document(Suite, document, "suite")


def test_nested_lists_name_their_index():
    class Inner(BaseModel):
        model_config = ConfigDict(extra="forbid")
        start: int

    class Outer(BaseModel):
        stages: list[Inner]

    with pytest.raises(
        RecipeError, match=r"stages\.0\.strat: unknown key; expected one of start; did you mean start\?"
    ):
        parse_document(Outer, {"stages": [{"start": 1, "strat": 2}]}, "where")
