"""The house keeps its shape: which way imports run, and one line per method.

Every check is a function from a source tree to a list of ``file:line: what is wrong``. The last third of this file
breaks each rule in a small fake tree, so that every check is seen to fail.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "core.atomic"),  # use nothing of ours at all, not even each other
    ("core.randomness", "core.weights", "core.placement", "core.options"),
    ("core.image.convention", "core.image.patches"),
    ("core.restorer", "core.prior"),  # protocols and InputSpec: a vocabulary, so it lies under those who speak it
    ("core.image",),  # the tiler reads InputSpec and Window
    ("core.repetition",),
    ("core.degradation", "core.metric", "core.classical", "core.networks", "core.guard"),
    ("priors", "training", "datasets", "diagnosis"),
    ("refine", "zeroair", "constyle"),
    ("methods",),
    ("recipe", "statistics", "shipped", "manifest", "model_text"),
    ("report",),
    ("zoo",),
    ("auto",),
    ("comparison", "batch", "doctor", "licences"),
    ("adapt",),
    ("api",),
    ("suite",),
    ("cli",),
)
"""The rooms of restorekit from the ground up. A room uses lower floors and itself: never its neighbour, never upwards.

A room is a module or a folder; the longest name that fits a module is its room (core.image.convention, not core.image).
"""

GROUND_ONLY = ("core.randomness", "core.weights", "core.placement", "core.options", "statistics")
"""Rooms that use nothing of ours but the lowest floor: another project could copy them out."""

BENCHMARK_EXCEPTIONS = {
    "code_probe.py": ("restorekit.constyle", "restorekit.core.degradation.chain", "restorekit.core.randomness"),
    "diagnose.py": ("restorekit.core", "restorekit.diagnosis"),
    "fit_diagnosis.py": ("restorekit.core", "restorekit.diagnosis"),
    "fit_niqe.py": ("restorekit.core.metric", "restorekit.core.image.convention"),
    "arms.py": ("restorekit.report", "restorekit.shipped", "restorekit.statistics", "restorekit.suite"),
    "interval_coverage.py": ("restorekit.statistics",),
    "model_card.py": ("restorekit.report", "restorekit.shipped", "restorekit.statistics", "restorekit.suite"),
    "paper_tables.py": ("restorekit.core.metric.protocol", "restorekit.suite"),
    "peers.py": ("restorekit.core.networks",),
    "plain_constyle.py": ("restorekit.comparison.cost", "restorekit.constyle"),
    "plain_refinement.py": ("restorekit.comparison.cost", "restorekit.refine"),
    "posterior_sampling.py": ("restorekit.core", "restorekit.priors", "restorekit.zeroair"),
    "prior_denoising.py": (
        "restorekit.core.image",
        "restorekit.core.randomness",
        "restorekit.priors",
        "restorekit.report",
        "restorekit.statistics",
        "restorekit.zeroair.sampler",
    ),
    "results.py": ("restorekit.report.record",),
    "speed_constyle.py": ("restorekit.constyle", "restorekit.core.networks.fold"),
    "zeroair_table.py": ("restorekit.core", "restorekit.zeroair"),
    "speed_folder.py": ("restorekit.batch", "restorekit.core.image.pairs", "restorekit.core.networks"),
    "speed_tiling.py": ("restorekit.core.image.convention", "restorekit.core.image.tiling", "restorekit.core.restorer"),
    "speed_training.py": (
        "restorekit.core.degradation.chain",
        "restorekit.methods",
        "restorekit.recipe",
        "restorekit.training",
    ),
    "student.py": ("restorekit.report", "restorekit.shipped", "restorekit.suite"),
    "speed_zeroair.py": ("restorekit.comparison.cost", "restorekit.core", "restorekit.priors", "restorekit.zeroair"),
}
"""Benchmarks use public names; these measure or make what lies behind one, and name just that."""


# ---------------------------------------------------------------------------------------------------------- the checks


def import_direction(root: Path) -> list[str]:
    """Imports that run upwards, sideways, or into a room that is not in the table."""
    problems = []
    for path in python_files(root / "restorekit"):
        source = module_name(path, root)
        room = room_of(source)
        if room is None and source not in {"restorekit", "restorekit.core", "restorekit.__main__"}:
            problems.append(f"{path.relative_to(root)}:1: {source} has no place in FLOORS; give it one")
            continue
        for line, target in imports(path, source):
            reason = forbidden(room, source, target)
            if reason:
                problems.append(f"{path.relative_to(root)}:{line}: {source} imports {target}: {reason}")
    return problems


def benchmarks_use_public_names(root: Path) -> list[str]:
    """Benchmarks that reach behind ``import restorekit``."""
    problems = []
    rooms = {path.stem for path in (root / "restorekit").iterdir()}
    for path in python_files(root / "benchmarks"):
        allowed = ("restorekit.errors", *BENCHMARK_EXCEPTIONS.get(path.name, ()))
        for line, target in imports(path, f"benchmarks.{path.stem}"):
            parts = target.split(".")
            if parts[0] != "restorekit" or any(target.startswith(f"{module}.") for module in allowed):
                continue
            if len(parts) > 2 or (len(parts) == 2 and parts[1] in rooms):
                problems.append(f"{path.relative_to(root)}:{line}: {target} is not a public name of restorekit")
    return problems


def methods_agree(root: Path) -> list[str]:
    """A METHODS line without its folder, or a folder holding METHOD without its line."""
    path = root / "restorekit" / "methods.py"
    table = assigned(path, "METHODS")
    if not isinstance(table, ast.Dict):
        return [f"{path.relative_to(root)}:1: expected METHODS, a dict of name to 'module:attribute'"]
    problems, listed = [], set()
    for value in table.values:
        module, _, attribute = ast.literal_eval(value).partition(":")
        home = module_file(root, module)
        listed.add(home)
        if home is None or assigned(home, attribute) is None:
            problems.append(f"{path.relative_to(root)}:{value.lineno}: {module} has no {attribute}")
    for home in python_files(root / "restorekit"):
        if home.name == "__init__.py" and home not in listed and assigned(home, "METHOD") is not None:
            problems.append(f"{home.relative_to(root)}:1: holds METHOD, but restorekit/methods.py has no line for it")
    return problems


# ---------------------------------------------------------------------------------------------------------- their parts


def python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_file(root: Path, module: str) -> Path | None:
    stem = root.joinpath(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def imports(path: Path, module: str) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of everything imported anywhere in a file, inside functions too."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def room_of(module: str) -> str | None:
    inside = module.removeprefix("restorekit.")
    fitting = [room for floor in FLOORS for room in floor if inside == room or inside.startswith(f"{room}.")]
    return max(fitting, key=len, default=None)


def forbidden(room: str | None, source: str, target: str) -> str:
    """Why ``source``, a module of ``room``, may not import ``target``; empty if it may."""
    if target.split(".")[0] != "restorekit" or target == "restorekit.__version__" or source == "restorekit":
        return ""
    if source == "restorekit.core":
        return "core/__init__.py imports nothing, so that a part of core loads alone"
    other = room_of(target)
    if other is None:
        return "inside the house, import from the module that defines the name"
    if room is None or room == other:
        return ""
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    if room in GROUND_ONLY and other not in FLOORS[0]:
        return f"{room} uses {' and '.join(FLOORS[0])} only"
    if floor[other] > floor[room]:
        return f"{other} lies above {room}"
    return f"{other} and {room} are neighbours" if floor[other] == floor[room] else ""


def assigned(path: Path, name: str) -> ast.AST | None:
    """What ``name`` is bound to at the top level of a file: a value, a function, a class, an import."""
    for node in parsed(path).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node.value
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return node
    return None


# ------------------------------------------------------------------------------------------------------- the real house

CHECKS = (import_direction, benchmarks_use_public_names, methods_agree)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_house_keeps_the_rule(check: Callable[[Path], list[str]]) -> None:
    assert check(ROOT) == []


# -------------------------------------------------------------------------------- fake houses: every check seen to fail

SOUND = {
    "restorekit/__init__": '"""Doc."""\n__version__ = "1"\ndef load():\n    from restorekit.zoo import load\n',
    "restorekit/errors": '"""Doc."""',
    "restorekit/core/image/convention": '"""Doc."""\nfrom restorekit.errors import ImageError',
    "restorekit/methods": '"""Doc."""\nMETHODS: dict[str, str] = {"refine": "restorekit.refine:METHOD"}',
    "restorekit/refine/__init__": '"""Doc."""\nfrom restorekit.refine.restorer import METHOD',
    "restorekit/refine/restorer": '"""Doc."""\nfrom restorekit import __version__\nfrom .. import errors\nMETHOD = 1',
    "benchmarks/speed": "import restorekit, torch\nfrom restorekit import restore",
    "benchmarks/fit_niqe": "from restorekit.core.metric.niqe import fit",
}
METHODS_FILE = "restorekit/methods"


def build(root: Path, files: dict[str, str]) -> Path:
    """A small house on disk; names are without their ``.py``."""
    for name, code in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return root


def test_sound_house_has_no_problems(tmp_path: Path) -> None:
    root = build(tmp_path, SOUND)
    assert [problem for check in CHECKS for problem in check(root)] == []


@pytest.mark.parametrize(
    ("file", "line", "code", "reason"),
    [
        ("restorekit/core/image/files", 2, "def f():\n    import restorekit.zoo", "zoo lies above core.image"),
        ("restorekit/core/image/convention", 1, "from ..restorer import A", "core.restorer lies above"),
        (
            "restorekit/core/weights",
            2,
            "import os\nfrom restorekit.core.image import A",
            "core.weights uses errors and core.atomic only",
        ),
        ("restorekit/core/metric/niqe", 1, "from restorekit.core import classical", "are neighbours"),
        ("restorekit/core/__init__", 1, "from restorekit.core.image import files", "imports nothing"),
        ("restorekit/zeroair/task", 1, "from restorekit.refine.module import A", "refine and zeroair are neighbours"),
        ("restorekit/zeroair/task", 1, "from ..refine import module", "refine and zeroair are neighbours"),
        ("restorekit/zeroair/task", 1, "from restorekit import load", "import from the module that defines the name"),
        ("restorekit/helpers", 1, "", "restorekit.helpers has no place in FLOORS; give it one"),
    ],
)
def test_import_direction_catches(tmp_path: Path, file: str, line: int, code: str, reason: str) -> None:
    (found,) = import_direction(build(tmp_path, SOUND | {file: code}))
    assert found.startswith(f"{file}.py:{line}: ")
    assert reason in found


@pytest.mark.parametrize(
    "code", ["import restorekit.zoo", "from restorekit import zoo", "from restorekit.zoo import load"]
)
def test_benchmarks_use_public_names_catches(tmp_path: Path, code: str) -> None:
    root = build(tmp_path, SOUND | {"restorekit/zoo": "", "benchmarks/quality/tables": f"import os\n{code}"})
    (found,) = benchmarks_use_public_names(root)
    assert re.match(r"benchmarks/quality/tables\.py:2: restorekit\.zoo.* is not a public name", found)


def test_methods_agree_catches_a_folder_without_its_line(tmp_path: Path) -> None:
    root = build(tmp_path, SOUND | {"restorekit/fourth/__init__": "METHOD = 1"})
    assert methods_agree(root) == [
        "restorekit/fourth/__init__.py:1: holds METHOD, but restorekit/methods.py has no line for it"
    ]


@pytest.mark.parametrize(
    "gone", [{"restorekit/refine/__init__": ""}, {METHODS_FILE: 'METHODS = {"a": "restorekit.a:METHOD"}'}]
)
def test_methods_agree_catches_a_line_without_its_folder(tmp_path: Path, gone: dict[str, str]) -> None:
    assert re.match(
        r"restorekit/methods\.py:\d: restorekit\.\w+ has no METHOD", methods_agree(build(tmp_path, SOUND | gone))[0]
    )


def test_methods_agree_needs_the_table(tmp_path: Path) -> None:
    assert "expected METHODS, a dict" in methods_agree(build(tmp_path, {METHODS_FILE: ""}))[0]
