"""The page of the method is true: its commands are understood, its example runs, its sizes are counted."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from restorekit.cli.main import app
from restorekit.constyle.settings import ConStyleConfig
from restorekit.core.networks import count_macs, count_parameters
from restorekit.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "methods" / "constyle.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.M | re.S) for line in block.splitlines()
]
SIZES = re.findall(r"^\| `(constyle/\w+)`[^|]* \| ([\d,]+) \| ([\d,]+) \| (\d+) px \|$", PAGE, flags=re.M)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line: str) -> None:
    """With --help added nothing runs, but options and subcommands must exist."""
    words = shlex.split(line, comments=True)[1:]
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words if word.startswith("--"))


def test_example_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
    exec(compile(example, "constyle.md", "exec"), {})


@pytest.mark.parametrize(("recipe", "parameters", "kilo_macs", "multiple"), SIZES)
def test_sizes_are_counted(recipe: str, parameters: str, kilo_macs: str, multiple: str) -> None:
    config = ConStyleConfig.model_validate(load_recipe(recipe).config).network
    assert f"{count_parameters(config):,}" == parameters
    assert f"{count_macs(config, height_px=384, width_px=384) / 384**2 / 1000:,.0f}" == kilo_macs
    assert config.multiple_of == int(multiple)


def test_page_has_commands_and_sizes() -> None:
    assert len(COMMANDS) == 5
    assert len(SIZES) == 6
