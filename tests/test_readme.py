"""The README's commands are real: the first one's own part runs here, the second is what CI ends with."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from restorekit.cli.main import app

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```bash\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_readme_begins_with_two_commands_that_set_up_everything():
    first, second = COMMANDS[0].strip(), COMMANDS[1].strip()
    assert first.startswith("pip install . && restorekit compare ")
    assert second == 'pip install ".[test]" && pytest'


def test_first_command_runs_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[0].strip().partition("&&")[2]
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 0, result.stderr
    output = tmp_path / shlex.split(command)[shlex.split(command).index("-o") + 1]
    assert {path.name for path in output.iterdir()} >= {
        "index.html",
        "sheet.png",
        "table.md",
        "scores.csv",
        "report.json",
    }


def test_ci_ends_with_the_second_command_verbatim():
    lines = [line for line in (CHECKOUT / ".ci" / "run").read_text().splitlines() if line.strip()]
    assert lines[-1] == COMMANDS[1].strip()


def test_every_other_command_of_the_readme_is_understood():
    """Options and subcommands exist: each line is parsed with --help added, so nothing runs."""
    lines = [line for block in COMMANDS[2:] for line in block.splitlines() if line.startswith("restorekit ")]
    assert lines
    for line in lines:
        arguments = shlex.split(line, comments=True)[1:]
        result = CliRunner().invoke(app, [*arguments, "--help"])
        assert result.exit_code == 0, line
        options = [word for word in arguments if word.startswith("--")]
        assert all(option in result.stdout for option in options), line


def test_python_example_runs(tmp_path):
    code = re.search(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL).group(1)
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)


def test_pictures_of_the_readme_exist():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (CHECKOUT / picture).is_file(), picture
