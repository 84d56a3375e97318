"""Which code runs: the commit of the source checkout, and whether it was changed since."""

import hashlib
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Checkout", "find_checkout", "running_checkout"]


@dataclass(frozen=True)
class Checkout:
    """The state of a source checkout; all None for an installed package, or without git."""

    commit: str | None = None
    """Short hash of the commit that is checked out."""
    modified: bool | None = None
    """Whether tracked files hold changes that no commit has."""
    changes: str | None = None
    """SHA-256 of the changes within the package: other numbers may come out when it differs."""


@cache
def running_checkout() -> Checkout:
    """Where this process runs from, as it was when first asked: files that are edited later are not what runs."""
    return find_checkout(Path(__file__).parents[2])


def find_checkout(folder: Path) -> Checkout:
    """Ask git about the checkout at ``folder``."""
    commit = _git(folder, "rev-parse", "--short", "HEAD") if (folder / ".git").exists() else None
    if commit is None:
        return Checkout()
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    changes = _git(folder, "diff", "--no-ext-diff", "--binary", "HEAD", "--", "restorekit")
    digest = None if changes is None else hashlib.sha256(changes.encode()).hexdigest()
    return Checkout(commit, None if status is None else bool(status), digest)


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers; None where it fails or is absent."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.decode(errors="replace").strip()
