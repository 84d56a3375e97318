"""What a user's own model is made of: a digest of its source, so that results of an edited model are not taken for its.

Followed are import statements, without running anything: a module, the modules beside it that it imports, and theirs.
"""

import ast
import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["source_digest"]


def source_digest(module: str) -> str:
    """SHA-256 of a module's source file and of every own module that it imports, directly or not.

    Own is what lies in the folder that the module was found in, or below; an installed module counts alone, without
    what it imports.

    Args:
        module: dotted name; found, but not run (the packages it lies in are).

    Returns:
        64 hexadecimal digits; "" where there is no module of that name, or none that lies in a file.
    """
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # packages around the module may run any code; loading it names what is wrong
        return ""
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    file = Path(spec.origin)
    root = file.parents[module.count(".") + (file.stem == "__init__")]
    sources = {module: file} if _is_installed(file) else _sources(module, file, root)
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        digest.update(f"{name}\0{hashlib.sha256(source.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()


def _is_installed(file: Path) -> bool:
    paths = sysconfig.get_paths()
    return any(file.is_relative_to(paths[kind]) for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


def _sources(module: str, file: Path, root: Path) -> dict[str, Path]:
    """File by dotted name, of the module, the packages it lies in, and everything under ``root`` that these lead to."""
    found, waiting = {module: file}, [*_prefixes(module.split(".")[:-1]), *_imported(module, file)]
    while waiting:
        name = waiting.pop()
        stem = root.joinpath(*name.split("."))
        source = next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)
        if source is not None and name not in found:
            found[name] = source
            waiting += _imported(name, source)
    return found


def _imported(module: str, file: Path) -> Iterator[str]:
    """Dotted names of what may be modules in the import statements of a file, packages around them included."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # no Python, such as a compiled module: it imports nothing that is to be seen
        return
    package = module.split(".")[: None if file.stem == "__init__" else -1]
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *(node.module.split(".") if node.module else [])]
            names = [[*base, alias.name] for alias in node.names]
        for parts in names:
            yield from _prefixes(parts)


def _prefixes(parts: Sequence[str]) -> Iterator[str]:
    """``a``, ``a.b`` and ``a.b.c`` of a, b, c."""
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))
