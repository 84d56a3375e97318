"""Commands of methods: made for every line of ``METHODS`` that has a package, light, and true to the general ones."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

import restorekit
from restorekit.cli import method as module
from restorekit.cli.main import app
from restorekit.cli.method import add_methods, own_methods
from restorekit.constyle.settings import ConStyleConfig
from restorekit.methods import METHODS
from restorekit.recipe import list_packaged

RULES = Path(__file__).parents[2] / "restorekit" / "ruff.toml"
BANNED = tomllib.loads(RULES.read_text())["lint"]["flake8-tidy-imports"]
BRIGHTEN = '''"""Brighten: a method of three lines."""
from pydantic import BaseModel

class Config(BaseModel):
    gain: float

class METHOD:
    name, summary, config = "brighten", "Every value times a gain.", Config
    commands = {name: f"restorekit.brighten.commands:{name}" for name in ("glow", "dim")}
'''
GLOW = '''"""Commands of brighten."""
import typer

def glow(name: str, *, load_model, loud: bool = False) -> None:
    """Glow in the dark."""
    typer.echo(load_model(name, device="cpu").name.upper() if loud else name)

def dim() -> None:
    """Glow less."""
    typer.echo("dim")
'''


def call(*arguments, app=app):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("method", own_methods())
def test_every_method_with_a_package_has_its_commands(method: str) -> None:
    result = call(method, "--help")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("train", "restore", "info"))
    for command in ("train", "restore", "info"):
        assert call(method, command, "--help").exit_code == 0


def test_methods_of_the_core_have_none() -> None:
    assert set(METHODS) - set(own_methods()) == {"classical", "supervised"}
    assert call("classical", "--help").exit_code == 2


@pytest.mark.parametrize("arguments", [["--help"], *([method, "--help"] for method in own_methods())])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    run = f"sys.argv = ['restorekit', *{arguments!r}]\ntry: run()\nexcept SystemExit: pass"
    heavy = BANNED["banned-module-level-imports"]
    code = f"import sys\nfrom restorekit.cli.main import run\n{run}\nprint(sorted(set({heavy!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" in heavy
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def brighten(tmp_path, monkeypatch):
    """A house with one more method, and its command line."""
    (tmp_path / "brighten").mkdir()
    (tmp_path / "brighten" / "__init__.py").write_text(BRIGHTEN)
    (tmp_path / "brighten" / "commands.py").write_text(GLOW)
    monkeypatch.setattr(restorekit, "__path__", [*restorekit.__path__, str(tmp_path)])
    monkeypatch.setitem(METHODS, "brighten", "restorekit.brighten:METHOD")
    monkeypatch.delitem(sys.modules, "restorekit.brighten", raising=False)
    monkeypatch.delitem(sys.modules, "restorekit.brighten.commands", raising=False)
    house = typer.Typer()
    add_methods(house)
    return house


def test_a_new_method_needs_no_code_in_the_command_line(brighten) -> None:
    assert "Brighten: a method of three lines." in call("--help", app=brighten).stdout
    assert "Glow in the dark." in call("brighten", "--help", app=brighten).stdout
    assert call("brighten", "dim", app=brighten).stdout == "dim\n"
    assert call("brighten", "glow", "classical:median", "--loud", app=brighten).stdout == "CLASSICAL:MEDIAN\n"
    told = call("brighten", "info", app=brighten).stdout
    assert told.startswith("brighten: Every value times a gain.\n")
    assert "gain = needed" in told
    assert "none yet" in told


def test_train_takes_recipes_of_the_method_alone(tmp_path) -> None:
    refused = call("constyle", "train", "base/noise")
    assert refused.exit_code == 2
    assert "expected a recipe of constyle, got one of supervised; run: restorekit train base/noise" in refused.stderr
    passed_on = call("constyle", "train", "constyle/small", "-o", tmp_path / "out")
    assert passed_on.exit_code == 2
    assert "data.train: expected a folder of clean photos" in passed_on.stderr


def test_train_names_the_command_of_another_method(brighten, tmp_path) -> None:
    (tmp_path / "bright.toml").write_text('method = "brighten"\n')
    refused = call("constyle", "train", tmp_path / "bright.toml", app=brighten)
    assert f"run: restorekit brighten train {tmp_path / 'bright.toml'}" in refused.stderr


def test_train_says_what_is_wrong_with_a_recipe_as_ever(tmp_path) -> None:
    (tmp_path / "bad.toml").write_text('method = "constlye"\n')
    assert "did you mean constyle?" in call("constyle", "train", tmp_path / "bad.toml").stderr
    assert "did you mean constyle/small" in call("constyle", "train", "constyle/smal").stderr


@pytest.mark.parametrize(
    ("ships", "arguments", "model"),
    [
        (["small"], [], "small"),
        (["constyle", "small"], [], "constyle"),
        (["small"], ["-m", "recipe:constyle/small"], "recipe:constyle/small"),
    ],
)
def test_restore_uses_the_model_that_ships(ships, arguments, model, monkeypatch) -> None:
    ships = {name: SimpleNamespace(name=name, method="constyle") for name in ships}
    other = {"base": SimpleNamespace(name="base", method="supervised")}
    used = []
    monkeypatch.setattr(module, "shipped_models", lambda: other | ships)
    monkeypatch.setattr(module, "restore", lambda **given: used.append((given["inputs"], given["model"])))
    assert call("constyle", "restore", "photo.png", "-o", "out", *arguments).exit_code == 0
    assert used == [(["photo.png"], model)]


@pytest.mark.parametrize(
    ("ships", "message"), [([], "none ships; train one"), (["a", "b"], "several ship: a, b; name")]
)
def test_restore_asks_for_a_model_where_none_is_meant(ships, message, monkeypatch, tmp_path) -> None:
    models = {name: SimpleNamespace(name=name, method="constyle") for name in ships}
    monkeypatch.setattr(module, "shipped_models", lambda: models)
    result = call("constyle", "restore", "sample:coffee@256", "-o", tmp_path / "out.png")
    assert result.exit_code == 2
    assert "--model: expected a model of constyle, got nothing" in result.stderr
    assert message in result.stderr


def test_restore_is_the_general_command(tmp_path) -> None:
    """With a model named, both write the same bytes."""
    model = ["-m", "classical:median"]
    for words, name in ((["constyle", "restore"], "own.png"), (["restore"], "general.png")):
        assert call(*words, "sample:coffee@256", "-o", tmp_path / name, *model).exit_code == 0
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "general.png").read_bytes()


def test_info_tells_every_setting_with_its_default_and_meaning() -> None:
    document = json.loads(call("constyle", "info", "--json").stdout)
    defaults = {"config": ConStyleConfig().model_dump(mode="json")}
    told = {}
    for table in document["config"]:
        for setting in table["settings"]:
            assert setting["description"]
            told.setdefault(f"{table['table']}.{setting['name']}", setting["default"])

    def flat(values, key=""):
        for name, value in values.items():
            yield from flat(value, f"{key}{name}.") if isinstance(value, dict) else [(key + name, value)]

    expected = dict(flat(defaults))
    assert {key: told[key] for key in expected} == expected
    blocks = [s["default"] for table in document["config"] for s in table["settings"] if s["name"] == "block"]
    assert blocks == ["nafnet", "maxim"]
    assert set(document["recipes"]) == {name for name in list_packaged("recipes") if name.startswith("constyle/")}


def test_info_reads_well() -> None:
    told = call("constyle", "info").stdout
    assert "[config.contrast]  How the encoder learns by contrast" in told
    assert "temperature = 0.07  " in told
    assert "freeze_after = nothing" in told
    assert "\n  constyle/small " in told
