"""The commands that the pages of docs/ and benchmarks/ show are understood: subcommands and options exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from restorekit.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
NOT_YET = "restorekit brighten "
"""The method that add_a_method.md walks through."""


def commands(page: Path) -> list[str]:
    """Those in blocks of shell code, and those within the text."""
    blocks, text = [], page.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        blocks += block.splitlines() if language in ("bash", "sh") else []
    text = re.sub(r"^```\w+\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = [*blocks, *(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text))]
    return [line for line in found if line.startswith("restorekit ") and not line.startswith(NOT_YET)]


SHOWN = [(page, line) for page in PAGES for line in commands(page)]


def test_pages_show_commands():
    assert len(SHOWN) > 40
    assert {"compare", "bench", "diagnose", "restore", "score", "data", "models"} <= {
        line.split()[1] for _, line in SHOWN
    }


@pytest.mark.parametrize(
    ("page", "line"), [pytest.param(page, line, id=f"{page.stem}: {line}") for page, line in SHOWN]
)
def test_command_of_a_page_is_understood(page, line):
    """With --help added nothing runs; an option that there is not is refused all the same."""
    result = CliRunner().invoke(app, [*shlex.split(line, comments=True)[1:], "--help"])
    assert result.exit_code == 0, f"{page.name}: {result.stderr}"
