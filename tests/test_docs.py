"""The pages of docs/ are true: their examples run, and the walk-through builds a method that works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language on a page of docs/."""
    text = (ROOT / "docs" / page).read_text()
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return found


def python(*arguments: str, cwd: Path) -> str:
    """Run this interpreter with ``cwd`` before everything else on its path; its output."""
    environment = os.environ | {"PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_concepts_examples_run(tmp_path: Path) -> None:
    (tmp_path / "concepts.py").write_text("\n".join(blocks("concepts.md", "python")))
    assert "psnr" in python("concepts.py", cwd=tmp_path)
    assert (tmp_path / "coffee.png").is_file()
    named = set(re.findall(r"`(\w+\.(?:html|png|md|csv|json))`", (ROOT / "docs" / "concepts.md").read_text()))
    assert {path.name for path in (tmp_path / "report").iterdir()} == named


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package with the walk-through's method added as the page says."""
    for folder in ("restorekit", "recipes"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for block in blocks("add_a_method.md", "python") + blocks("add_a_method.md", "toml"):
        path = tmp_path / block.split("\n", 1)[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block)
    (line,) = blocks("add_a_method.md", "text")
    methods = tmp_path / "restorekit" / "methods.py"
    methods.write_text(re.sub(r"(METHODS: dict\[str, str\] = \{\n)", rf"\1{line}", methods.read_text()))
    return tmp_path


def test_walk_through_builds_a_method_that_works(house: Path) -> None:
    code = (
        "import numpy as np, restorekit\n"
        "photo = np.full((40, 30, 3), 60, dtype=np.uint8)\n"
        "print(restorekit.__file__, np.unique(restorekit.restore(photo, 'recipe:brighten/double')))"
    )
    place, brightness = python("-c", code, cwd=house).split()
    assert Path(place).is_relative_to(house)
    assert brightness == "[120]"


def test_walk_through_tests_pass(house: Path) -> None:
    assert "2 passed" in python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/brighten", cwd=house)


@pytest.mark.parametrize("page", [path.relative_to(ROOT / "docs").as_posix() for path in PAGES])
def test_links_of_pages_lead_somewhere(page: str) -> None:
    here = ROOT / "docs" / page
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", here.read_text())
    gone = [link for link in links if "://" not in link and not (here.parent / link).exists()]
    assert gone == []
