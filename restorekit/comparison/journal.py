"""What a comparison has done so far, on disk: an interrupted one goes on where it stopped, with identical numbers.

- One line per finished restoration, flushed at once; the pictures that the page will need lie beside it, exactly (PNG).
- A journal serves only the comparison that began it: models (weight files by content, a user's own code by its
  source), protocol, seeds, region, machine-independent settings, versions and uncommitted changes of restorekit must be
  the same, and a line counts only while its photo's pixels do not change. Anything else is measured again.
"""

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from pydantic import ValidationError

from restorekit.comparison.subjects import Subject
from restorekit.core.atomic import write_bytes
from restorekit.report.record import ImageScore, Picture

__all__ = ["Journal", "clear_journal", "digest_of"]

FOLDER = ".restorekit-compare"


class Journal:
    """Finished restorations of one comparison; with no folder it remembers nothing.

    Args:
        folder: of the report; the journal is a hidden folder in it.
        identity: everything that the numbers depend on, besides the photos.
    """

    def __init__(self, folder: Path | None, identity: dict[str, Any]) -> None:
        self._done: dict[tuple[str, str], ImageScore] = {}
        self._lines: IO[str] | None = None
        self._folder = None if folder is None else Path(folder) / FOLDER
        if self._folder is not None:
            self._open(self._folder, json.dumps(identity, sort_keys=True))

    def find(self, digest: str, model: str) -> ImageScore | None:
        """What ``model`` made of the photo with this digest, if that is done."""
        return self._done.get((digest, model))

    def add(self, digest: str, score: ImageScore, picture: Picture | None) -> None:
        """Keep one finished restoration, and its picture if the page will show it."""
        if self._lines is None or self._folder is None:
            return
        if picture is not None:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, format="PNG", compress_level=1)
            write_bytes(self._picture_file(self._folder, digest, score.model), buffer.getvalue())
        self._lines.write(_line(digest, score))
        self._lines.flush()

    def picture(self, digest: str, model: str) -> Picture | None:
        """The picture that was kept with a restoration."""
        if self._folder is None or not (file := self._picture_file(self._folder, digest, model)).is_file():
            return None
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))

    def close(self) -> None:
        """Stop writing; what is kept stays until ``clear_journal``."""
        if self._lines is not None:
            self._lines.close()

    def _open(self, folder: Path, identity: str) -> None:
        """Read what is done, and go on writing behind it; a torn last line is dropped."""
        if not _is_file_with(folder / "run.json", identity):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_bytes(folder / "run.json", identity.encode())
        lines = folder / "scores.jsonl"
        for line in lines.read_text(encoding="utf-8").splitlines() if lines.is_file() else ():
            try:
                record = json.loads(line)
                score = ImageScore.model_validate(record["score"])
            except (ValueError, KeyError, TypeError, ValidationError):
                continue
            self._done[record["photo"], score.model] = score
        write_bytes(lines, "".join(_line(digest, score) for (digest, _), score in self._done.items()).encode())
        self._lines = lines.open("a", encoding="utf-8")

    @staticmethod
    def _picture_file(folder: Path, digest: str, model: str) -> Path:
        return folder / f"{digest[:16]}-{hashlib.sha256(model.encode()).hexdigest()[:16]}.png"


def clear_journal(folder: Path) -> None:
    """Forget: the report is written."""
    shutil.rmtree(Path(folder) / FOLDER, ignore_errors=True)


def digest_of(subject: Subject) -> str:
    """SHA-256 of a photo's name and of all its pixels."""
    digest = hashlib.sha256(subject.name.encode())
    for samples in (subject.degraded, subject.clean):
        if samples is not None:
            digest.update(f"{samples.shape}{samples.dtype}".encode())
            digest.update(np.ascontiguousarray(samples).data)
    return digest.hexdigest()


def _line(digest: str, score: ImageScore) -> str:
    return json.dumps({"photo": digest, "score": json.loads(score.model_dump_json())}) + "\n"


def _is_file_with(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False
