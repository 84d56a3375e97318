"""The digest of a user's code follows every file that the model is made of, and no other."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restorekit.core.networks.source import source_digest

FILES = {
    "house/__init__.py": "from . import walls\n",
    "house/walls.py": "from .bricks import BRICK\n",
    "house/bricks.py": "BRICK = 1\n",
    "house/rooms/__init__.py": "import house.bricks\n",
    "house/rooms/kitchen.py": "def cook():\n    from .. import stove\n    import tools, torch\n",
    "house/rooms/attic.py": "",
    "house/stove.py": "import house.rooms.kitchen  # in a circle\n",
    "house/garden.py": "",
    "tools.py": "",
    "unused.py": "",
}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "house"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        ("tools", {"tools.py"}),
        ("house", {"house/__init__.py", "house/walls.py", "house/bricks.py"}),
        ("house.rooms.kitchen", set(FILES) - {"house/garden.py", "house/rooms/attic.py", "unused.py"}),
        (
            "house.rooms.attic",
            {
                "house/rooms/attic.py",
                "house/rooms/__init__.py",
                "house/__init__.py",
                "house/walls.py",
                "house/bricks.py",
            },
        ),
    ],
)
def test_digest_follows_what_the_module_imports_and_nothing_else(code: Path, module: str, parts: set[str]) -> None:
    first = source_digest(module)
    assert source_digest(module) == first
    followed = set()
    for name in FILES:
        (code / name).write_text(FILES[name] + "# edited\n")
        if source_digest(module) != first:
            followed.add(name)
        (code / name).write_text(FILES[name])
    assert followed == parts
    assert source_digest(module) == first


def test_an_installed_module_counts_alone() -> None:
    import torch.nn as module

    inner = hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    assert source_digest("torch.nn") == hashlib.sha256(f"torch.nn\0{inner}\0".encode()).hexdigest()


@pytest.mark.parametrize("module", ["no_such_module", "no_such.module", "sys", "tools.no"])
def test_what_has_no_file_has_no_digest(code: Path, module: str) -> None:
    assert source_digest(module) == ""


def test_code_that_cannot_be_read_still_has_a_digest(code: Path) -> None:
    (code / "tools.py").write_text("def (")
    assert len(source_digest("tools")) == 64
