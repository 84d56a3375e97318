"""The page of the method is true: its commands are understood, its example runs, its sizes are counted."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from restorekit.cli.main import app
from restorekit.recipe import list_packaged, load_recipe
from restorekit.refine.config import TABLE_3, RefinementConfig
from restorekit.refine.module import RefinementModule

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "methods" / "refine.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.M | re.S) for line in block.splitlines()
]
SIZES = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|$", PAGE, flags=re.M))
ROWS = re.findall(r"^\| (\d+) \| .* \| (\d\d\.\d\d) \| (\d\d\.\d\d) \| (.*) \|$", PAGE, flags=re.M)


def count(config: RefinementConfig) -> str:
    with torch.device("meta"):
        return f"{sum(parameter.numel() for parameter in RefinementModule(config).parameters()):,}"


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line: str) -> None:
    """With --help added nothing runs, but options and subcommands must exist."""
    words = shlex.split(line, comments=True)[1:]
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words if word.startswith("--"))


def test_example_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
    exec(compile(example, "refine.md", "exec"), {})


def test_sizes_are_counted() -> None:
    assert f"| full, as released | {count(RefinementConfig(compose='residual'))} |" in PAGE
    assert f"| full, with the mask of eq. 1 | {count(RefinementConfig())} |" in PAGE
    counted = {row: count(RefinementConfig(compose="residual", **options)) for row, options in TABLE_3.items()}
    assert {**SIZES, "full": counted["full"]} == counted


def test_rows_name_recipes_that_quote_the_same_scores() -> None:
    named = [(name, before, after) for _, before, after, text in ROWS for name in re.findall(r"`(table\w+)`", text)]
    for name, before, after in named:
        text = (ROOT / "recipes" / "refine" / f"{name}.toml").read_text(encoding="utf-8")
        assert load_recipe(f"refine/{name}").summary.startswith(f"Table {int(name[5:7])}")
        assert after in text
        assert before in text or "table03" in name
    recipes = {name.removeprefix("refine/") for name in list_packaged("recipes") if name.startswith("refine/table")}
    assert recipes - {"table04_lol_enlightengan"} == {name for name, _, _ in named}
    assert "`table04_lol_enlightengan`" in PAGE  # the text names it, no row of the paper has it


def test_page_has_every_table_commands_and_sizes() -> None:
    assert {int(number) for number, *_ in ROWS} == set(range(1, 11))
    assert len(COMMANDS) == 8
    assert len(SIZES) == len(TABLE_3) - 1
