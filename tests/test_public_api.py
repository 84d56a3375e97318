"""What ``import restorekit`` offers, and what it must not load."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import restorekit

RULES = Path(__file__).parents[1] / "restorekit" / "ruff.toml"


def test_all_is_sorted_and_every_name_resolves():
    assert restorekit.__all__ == sorted(restorekit.__all__)
    for name in restorekit.__all__:
        assert getattr(restorekit, name).__doc__
    assert set(restorekit.__all__) <= set(dir(restorekit))


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'restorekit' has no attribute 'restor'"):
        restorekit.restor  # noqa: B018


@pytest.mark.parametrize("statement", ["import restorekit", "import restorekit.cli.main", "import restorekit.zoo"])
def test_joining_layer_loads_no_heavy_library(statement):
    banned = tomllib.loads(RULES.read_text())["lint"]["flake8-tidy-imports"]["banned-module-level-imports"]
    assert "torch" in banned
    code = f"{statement}; import sys; print(*(set({banned!r}) & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
