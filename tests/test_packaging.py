"""What is built is what is meant: nothing missing, nothing extra, importable alone, light to import."""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import restorekit

ROOT = Path(__file__).resolve().parents[1]
SHIPPED_FOLDERS = {
    "restorekit": "restorekit",
    "recipes": "restorekit/_data/recipes",
    "benchmarks/suites": "restorekit/_data/suites",
}
"""Folder of the checkout -> where the wheel has it."""
RUN = "from restorekit.cli.main import run; run()"
"""The console script's body."""
UNSHIPPED = {"ruff.toml"}
"""Settings of our own tools."""
HEAVY = tomllib.loads((ROOT / "restorekit" / "ruff.toml").read_text())["lint"]["flake8-tidy-imports"][
    "banned-module-level-imports"
]


def python(*arguments: str, cwd: Path) -> str:
    """Run this interpreter without our environment's paths and without a network; its output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def build(source: Path, kind: str, out: Path) -> Path:
    python("-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(out), str(source), cwd=out.parent)
    (built,) = out.iterdir()
    return built


def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def sdist_names(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}


def files_under(folder: str) -> set[str]:
    """Files of the checkout below ``folder``, without caches and our tools' settings."""
    paths = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in paths
        if path.name not in UNSHIPPED and not any(part == "__pycache__" or part[0] == "." for part in path.parts)
    }


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("built") / "wheel")


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("built") / "sdist")


@pytest.mark.parametrize("folder", SHIPPED_FOLDERS)
def test_wheel_holds_every_file_of(folder: str, wheel: Path) -> None:
    expected = {f"{SHIPPED_FOLDERS[folder]}/{name}" for name in files_under(folder)}
    assert expected
    assert expected - wheel_names(wheel) == set()


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    expected = {f"{there}/{name}" for here, there in SHIPPED_FOLDERS.items() for name in files_under(here)}
    extra = {name for name in wheel_names(wheel) - expected if ".dist-info/" not in name}
    assert extra == set()


def test_wheel_says_that_it_is_typed_and_licensed(wheel: Path) -> None:
    names = wheel_names(wheel)
    assert "restorekit/py.typed" in names
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}


def test_sdist_holds_what_a_packager_needs(sdist: Path) -> None:
    names = sdist_names(sdist)
    assert {"pyproject.toml", "LICENSE", "NOTICE", "README.md", "CITATION.cff", "CHANGELOG.md"} <= names
    assert {f"tests/{name}" for name in files_under("tests")} <= names
    assert not [name for name in names if "__pycache__" in name or "_cache/" in name]


def test_sdist_rebuilds_to_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(sdist, tmp_path, "gztar")
    (unpacked,) = tmp_path.iterdir()
    assert wheel_names(build(unpacked, "wheel", tmp_path / "out")) == wheel_names(wheel)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_installed_package_works_away_from_the_checkout(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    target, empty = tmp_path / "target", tmp_path / "empty"
    empty.mkdir()
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(target)]
    python("-m", "pip", "install", *options, str(request.getfixturevalue(kind)), cwd=empty)

    go = f"import sys; sys.path.insert(0, {str(target)!r}); import restorekit; "
    version, place = python("-c", go + "print(restorekit.__version__, restorekit.__file__)", cwd=empty).split()
    assert version == restorekit.__version__
    assert Path(place).is_relative_to(target)

    shipped = python("-c", go + "import restorekit.recipe as r; print(*r.list_packaged('recipes'))", cwd=empty)
    assert {f"{name}.toml" for name in shipped.split()} == {n for n in files_under("recipes") if n.endswith(".toml")}

    (metadata,) = target.glob("restorekit-*.dist-info")
    assert f"\nVersion: {version}\n" in (metadata / "METADATA").read_text()
    assert "\nrestorekit = restorekit.cli.main:run" in (metadata / "entry_points.txt").read_text()
    spoken = python("-c", f"{go}sys.argv = ['restorekit', '--version']; {RUN}", cwd=empty)
    assert version in spoken


def test_import_restorekit_is_light(tmp_path: Path) -> None:
    assert loaded_after("import restorekit", tmp_path) == []


def test_help_is_light(tmp_path: Path) -> None:
    assert loaded_after(f"sys.argv = ['restorekit', '--help']\ntry: {RUN}\nexcept SystemExit: pass", tmp_path) == []


def test_loaded_after_sees_what_is_heavy(tmp_path: Path) -> None:
    assert "torch" in loaded_after("import restorekit.core.image.convention", tmp_path)


def loaded_after(code: str, cwd: Path) -> list[str]:
    """The heavy modules that ``code`` loads in a fresh interpreter."""
    report = f"print([name for name in {HEAVY!r} if name in sys.modules])"
    output = python("-c", f"import sys\n{code}\n{report}", cwd=cwd)
    loaded: list[str] = ast.literal_eval(output.splitlines()[-1])
    return loaded
