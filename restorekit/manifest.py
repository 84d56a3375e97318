"""What a folder run has done so far: ``restorekit.jsonl`` in the output folder, a JSON line for each photo and try."""

import contextlib
import json
from pathlib import Path
from typing import Any

__all__ = ["DONE", "MANIFEST", "Manifest"]

MANIFEST = "restorekit.jsonl"
DONE = ("restored", "kept")
"""Statuses of photos that a second run skips."""


class Manifest:
    """The output folder's record of what was done to which photo with which settings.

    Args:
        path: of the file; it is read if it is there.
        settings: a hash of all that the outputs depend on.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self.path, self.settings = path, settings
        self.done: dict[str, dict[str, Any]] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):  # a line cut off by a crash
                    record = json.loads(line)
                    self.done[record["name"]] = record

    def has(self, name: str, source: Path, target: Path) -> bool:
        """Whether ``target`` is there and was made from this very ``source`` with these settings."""
        record = self.done.get(name)
        return (
            record is not None
            and record["status"] in DONE
            and record.get("settings") == self.settings
            and record.get("source") == _fingerprint(source)
            and target.is_file()
        )

    def add(self, source: Path, record: dict[str, Any]) -> None:
        """Append one line, ``record`` with settings and source; appending never loses what stands before."""
        record = record | {"settings": self.settings, "source": _fingerprint(source)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _fingerprint(path: Path) -> list[int] | None:
    """Size in bytes and time of change in ns; None for a file that cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
