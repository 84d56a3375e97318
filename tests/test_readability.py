"""Small readable files: limits on length, a docstring on everything public, no print.

Every check is a function from a source tree to a list of ``file:line: what is wrong``; the last part of this file
breaks each rule in a small fake tree, so that every check is seen to fail.
"""

import ast
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_POSITIONAL = 6


def sizes(root: Path, *folders: str) -> list[str]:
    """Files, functions and signatures over their limit."""
    problems = []
    for path in (path for folder in folders for path in python_files(root / folder)):
        lines = len(path.read_text().splitlines())
        if lines > MAX_FILE_LINES:
            problems.append(f"{path.relative_to(root)}:1: {lines} lines, more than {MAX_FILE_LINES}")
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            where = f"{path.relative_to(root)}:{node.lineno}: {node.name}"
            if body_lines(node) > MAX_FUNCTION_LINES:
                problems.append(f"{where} has {body_lines(node)} lines, more than {MAX_FUNCTION_LINES}")
            positional = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg not in {"self", "cls"}]
            if len(positional) > MAX_POSITIONAL:
                problems.append(f"{where} has {len(positional)} positional arguments, more than {MAX_POSITIONAL}")
    return problems


def docstrings(root: Path) -> list[str]:
    """Modules, public functions and public classes without a docstring."""
    problems = []
    for path in python_files(root / "restorekit"):
        tree = parsed(path)
        public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
        if ast.get_docstring(tree) is None:
            problems.append(f"{path.relative_to(root)}:1: no module docstring")
        problems += [
            f"{path.relative_to(root)}:{node.lineno}: {node.name} has no docstring"
            for node in public
            if ast.get_docstring(node) is None and not is_overload(node)
        ]
    return problems


def prints(root: Path) -> list[str]:
    """Calls of the built-in print; the command line speaks through rich."""
    return [
        f"{path.relative_to(root)}:{node.lineno}: print("
        for path in python_files(root / "restorekit")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines between the signature and the end, without the docstring; MAX_POSITIONAL minds the signature."""
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def is_overload(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "overload" for decorator in node.decorator_list)


def python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_house_has_small_files_and_functions() -> None:
    assert sizes(ROOT, "restorekit", "benchmarks", "tests") == []


def test_house_documents_what_is_public() -> None:
    assert docstrings(ROOT) == []


def test_house_never_prints() -> None:
    assert prints(ROOT) == []


# -------------------------------------------------------------------------------- fake houses: every check seen to fail

LONG = "def run():\n" + "    x = 1\n" * 41


def build(root: Path, file: str, code: str) -> Path:
    path = root / file
    path.parent.mkdir(parents=True)
    path.write_text(code)
    return root


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("\n" * 301, ":1: 301 lines, more than 300"),
        (LONG, ":1: run has 41 lines, more than 40"),
        ("class A:\n" + textwrap.indent(LONG, "    "), ":2: run has 41 lines, more than 40"),
        ("async def run(a, b, /, c, d, e, f, g): ...", ":1: run has 7 positional arguments, more than 6"),
    ],
)
def test_sizes_catches(tmp_path: Path, code: str, problem: str) -> None:
    assert sizes(build(tmp_path, "restorekit/core/deep/long.py", code), "restorekit") == [
        f"restorekit/core/deep/long.py{problem}"
    ]


def test_sizes_counts_neither_docstrings_nor_self_nor_keyword_only(tmp_path: Path) -> None:
    code = 'def run(self, a, b, c, d, e, f, *, g):\n    """One\n    two."""\n' + "    x = 1\n" * 40
    assert sizes(build(tmp_path, "restorekit/long.py", code), "restorekit") == []


def test_docstrings_catches_modules_functions_and_classes(tmp_path: Path) -> None:
    code = "def run(): ...\nclass Thing: ...\ndef _private(): ...\n@overload\ndef typed(): ..."
    assert docstrings(build(tmp_path, "restorekit/core/bare.py", code)) == [
        "restorekit/core/bare.py:1: no module docstring",
        "restorekit/core/bare.py:1: run has no docstring",
        "restorekit/core/bare.py:2: Thing has no docstring",
    ]


def test_prints_catches_the_builtin_only(tmp_path: Path) -> None:
    root = build(tmp_path, "restorekit/cli/talk.py", "console.print(1)\ndef f():\n    print(2)")
    assert prints(root) == ["restorekit/cli/talk.py:3: print("]
