"""How commands speak: results to stdout, everything else to stderr, errors in one line with the right exit code.

Exit codes: 0 all is well, 1 some inputs failed, 2 the request was wrong.
"""

import functools
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

from restorekit.errors import RestorekitError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = [
    "EXIT_FAILED",
    "EXIT_USAGE",
    "command_line",
    "error_line",
    "exit_for",
    "note",
    "print_json",
    "progress",
    "report_errors",
    "stdout",
]

EXIT_FAILED = 1
EXIT_USAGE = 2

P = ParamSpec("P")
R = TypeVar("R")


def report_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors raised on purpose into one line on stderr and an exit code; anything else is our bug and shows."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except RestorekitError as error:
            error_line(str(error))
            raise typer.Exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED) from None
        except OSError as error:  # a full disk, a folder without permission: the user's to mend, not ours to trace
            error_line(f"{error.filename or command.__name__}: {error.strerror or error}")
            raise typer.Exit(EXIT_FAILED) from None
        except KeyboardInterrupt:
            error_line("interrupted; finished files are complete, the same command continues")
            raise typer.Exit(130) from None

    return wrapped


def error_line(message: str) -> None:
    """One error, on stderr."""
    typer.echo(f"{typer.style('error:', fg='red', bold=True)} {message}", err=True)


def exit_for(failures: Iterable[str]) -> None:
    """One error line for each restorer that failed, and exit code 1 if there is any."""
    failures = list(failures)
    for line in failures:
        error_line(line)
    if failures:
        raise typer.Exit(EXIT_FAILED)


def note(message: str) -> None:
    """Something worth knowing that is no error, on stderr."""
    typer.echo(message, err=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout; infinity and NaN, which JSON lacks, become text."""
    typer.echo(json.dumps(_plain(document), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def command_line() -> str:
    """The command as it was typed, for records; folders of this machine are cut to their last name."""
    return shlex.join(["restorekit", *(Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])])


def stdout() -> "Console":
    """A rich console on stdout; piped output is wide enough for any table."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)


@contextmanager
def progress() -> Iterator["Progress"]:
    """A progress bar with the time left, on stderr; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar
