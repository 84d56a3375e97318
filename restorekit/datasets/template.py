"""Templates of relative paths: which files they stand for, and what their fields hold.

``indoor/hazy/{scene}_{level}`` stands for ``indoor/hazy/1400_1.png`` with scene 1400 and level 1. A field takes as few
characters as it can, never a ``/``; ``{id:\\d+}`` says which. A template that ends in ``.npy`` or ``.mat`` stands for
such a file, any other for an image of any suffix. Letters match in either case.
"""

import functools
import posixpath
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

__all__ = ["ARRAY_SUFFIXES", "Template"]

ARRAY_SUFFIXES = (".npy", ".mat")

_FIELD = re.compile(r"\{(\w+)(?::([^{}]*))?\}")


class Template:
    """One template.

    >>> Template("gt/{scene}_{level}").match("gt/0001_0.8_0.2.jpg")
    {'scene': '0001', 'level': '0.8_0.2'}
    >>> Template("low/low{id}").fill({"id": "00690"})
    'low/low00690'
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.suffix = next((suffix for suffix in ARRAY_SUFFIXES if text.endswith(suffix)), "")
        self.fields = tuple(match[1] for match in _FIELD.finditer(text))
        self._pattern = _compile(text.removesuffix(self.suffix))

    @property
    def folders(self) -> tuple[str, ...]:
        """The leading folders that are no fields."""
        folders = PurePosixPath(self.text).parts[:-1]
        fixed = next((at for at, folder in enumerate(folders) if "{" in folder), len(folders))
        return folders[:fixed]

    def match(self, name: str) -> dict[str, str] | None:
        """The fields of a relative path with ``/``, or None if this template does not stand for it."""
        stem, suffix = posixpath.splitext(name)
        if (suffix.lower() if suffix.lower() in ARRAY_SUFFIXES else "") != self.suffix:
            return None
        found = self._pattern.fullmatch(stem)
        return found.groupdict() if found else None

    def fill(self, values: Mapping[str, str]) -> str:
        """The path that has these fields; fields that are not given stay ``*``."""
        return _FIELD.sub(lambda match: values.get(match[1], "*"), self.text)

    def without(self, count: int) -> "Template":
        """The same below its first ``count`` folders."""
        return Template("/".join(PurePosixPath(self.text).parts[count:]))

    def __str__(self) -> str:
        """As people read it: without what a field may hold."""
        return _FIELD.sub(r"{\1}", self.text)


@functools.cache
def _compile(text: str) -> re.Pattern[str]:
    pieces, end = [], 0
    for match in _FIELD.finditer(text):
        pieces += [re.escape(text[end : match.start()]), f"(?P<{match[1]}>{match[2] or '[^/]+?'})"]
        end = match.end()
    return re.compile("".join(pieces) + re.escape(text[end:]), re.IGNORECASE)
