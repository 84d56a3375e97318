"""One finding, and how a check that breaks becomes one."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Finding", "isolated"]


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    """What was looked at, in one or two words."""
    status: Literal["ok", "warning", "problem"]
    """warning: something works worse than it could; problem: something does not work."""
    detail: str
    """What was found."""
    fix: str | None = None
    """What to do: a command where there is one. None when all is well."""

    def as_record(self) -> dict[str, str | None]:
        """For JSON: plain types only."""
        return asdict(self)


def isolated(name: str, check: Callable[[], Finding]) -> Finding:
    """The finding of ``check``, or one that says how the check itself failed."""
    try:
        return check()
    except Exception as error:
        detail = f"the check itself failed: {type(error).__name__}: {error}"
        return Finding(name, "problem", detail, "please report this line as an issue of restorekit")
