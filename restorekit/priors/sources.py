"""Where weights come from: a path, or a name on the Hugging Face hub; and what to say if they are absent."""

import importlib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from restorekit.errors import DependencyError, ModelError, RestorekitError

__all__ = ["absent", "check_complete", "download", "fetch", "in_words", "is_path", "not_there"]

Loaded = TypeVar("Loaded")

WITHOUT_WEIGHTS = "or choose constyle or statistics, which need no download"


def fetch(where: str, source: str, load: Callable[[str], Loaded], *, form: str) -> Loaded:
    """Call ``load``, of transformers or diffusers, with a folder or a hub name; say what is missing if it fails.

    Args:
        where: the prior, for messages.
        source: a folder, or a name on the hub such as "openai/clip-vit-base-patch32".
        load: given the folder (expanded) or the name; whatever it raises is caught.
        form: how a folder is written in a prior's name, such as "clip:FOLDER".

    Raises:
        DependencyError: the folder is not there; the hub cannot be reached or has no such thing.
        ModelError: the folder holds something else.
    """
    local = is_path(source)
    target = str(Path(source).expanduser()) if local else source
    if local and not Path(target).exists():
        raise not_there(where, target, form)
    try:
        with _quiet():
            return load(target)
    except RestorekitError:
        raise
    except Exception as error:  # each library has its own exceptions for files that are absent, foreign or damaged
        if local:
            raise ModelError(
                f"{where}: expected a network of this kind in {target}, got {in_words(error)}; check what the "
                "folder holds"
            ) from error
        raise absent(where, error, download(source), form) from error


def absent(where: str, error: Exception, remedy: str, form: str) -> DependencyError:
    """The error for weights that could not be downloaded: how to fetch them, and what works without.

    Args:
        where: the prior.
        error: what the library says.
        remedy: what to do where there is a network, see ``download``.
        form: how the result is then written in a prior's name.
    """
    return DependencyError(
        f"{where}: expected pretrained weights in the local cache or on the hub, got neither; with a network, "
        f"{remedy}, and pass {form}; {WITHOUT_WEIGHTS} ({in_words(error)})"
    )


def download(repository: str) -> str:
    """The command that fetches a repository of the hub into a folder."""
    return f"run: hf download {repository} --local-dir FOLDER"


def check_complete(source: str, missing: Iterable[str], *, used: tuple[str, ...] = ("",)) -> None:
    """Refuse a network some of whose weights could not be read: libraries go on with random ones.

    Args:
        source: where the files are.
        missing: names of those weights.
        used: what the names begin with of weights that we use; by default all.

    Raises:
        ModelError: weights that we use are missing.
    """
    needed = sorted(name for name in missing if name.startswith(used))
    if needed:
        raise ModelError(
            f"{source}: expected all weights, {len(needed)} are missing or of another shape, the first is {needed[0]}; "
            "check what the files are for, or fetch them again"
        )


def not_there(where: str, path: str | Path, form: str) -> DependencyError:
    """The error for a path that does not exist, written as ``form``."""
    return DependencyError(
        f"{where}: expected pretrained weights at {path}, got nothing; check the path in {form}, {WITHOUT_WEIGHTS}"
    )


def is_path(source: str) -> bool:
    """Whether a text means a file or folder rather than a name on the hub, which has at most one slash.

    >>> is_path("openai/clip-vit-base-patch32"), is_path("./clip"), is_path("/data/clip")
    (False, True, True)
    """
    looks_like_one = source.startswith(("/", "./", "../", "~", ".\\", "..\\")) or Path(source).is_absolute()
    return looks_like_one or source.count("/") > 1 or "\\" in source or Path(source).exists()


def in_words(error: Exception) -> str:
    """The kind of an exception and its text in one line, cut to a length that a message can bear."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


@contextmanager
def _quiet() -> Iterator[None]:
    """No reports, bars and warnings about weights left aside on purpose; downloads keep their bars (the hub's)."""
    logs = [importlib.import_module(f"{library}.utils.logging") for library in ("transformers", "diffusers")]
    before = [(log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    for log in logs:
        log.set_verbosity(logging.ERROR)
        log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level, bars in before:
            log.set_verbosity(level)
            if bars:
                log.enable_progress_bar()
