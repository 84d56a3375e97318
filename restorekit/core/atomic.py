"""Files that appear whole or not at all: the only place that writes beside a file and moves into its place."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["replacing", "write_bytes"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; afterwards it is flushed to the disk and takes the place of ``path``.

    On any failure, an interrupt included, what stood at ``path`` before stays and nothing is left beside it. The name
    is short, so that the longest file names work.

    Raises:
        OSError: the folder is absent or cannot be written, the disk is full, ``path`` is a folder.
    """
    beside = path.with_name(f".restorekit-{secrets.token_hex(8)}.partial")
    try:
        yield beside
        with beside.open("r+b") as stream:
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a whole file through ``replacing``; returns ``path``."""
    with replacing(path) as beside:
        beside.write_bytes(content)
    return path
