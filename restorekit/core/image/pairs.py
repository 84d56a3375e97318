"""Which images a command works on: files, folders and samples as a sorted list; degraded and clean ones as pairs.

- A name is what seeds are derived from and what the output is called: the path relative to the folder that was given,
  with ``/`` on every system and in Unicode NFC, so that results do not depend on the machine.
- Every problem with the request is in one message, before any work.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from restorekit.core.image.formats.kinds import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES
from restorekit.core.image.headers import read_header
from restorekit.core.image.samples import is_sample, sample_file_name, sample_path
from restorekit.errors import ImageError, UsageError

__all__ = [
    "MOST_LISTED",
    "NamedInput",
    "Pair",
    "ensure_alike",
    "evenly_spaced",
    "list_alike",
    "list_images",
    "pair_images",
]

MOST_LISTED = 20
"""So many problems of a request are told in words, the others counted."""

Entry = TypeVar("Entry")

_LISTED_SUFFIXES = frozenset((*IMAGE_SUFFIXES, *UNSUPPORTED_SUFFIXES))
_DEPTHS = {"uint8": "8 bits a sample", "uint16": "16 bits a sample", "float32": "samples of floats"}


@dataclass(frozen=True, order=True)
class NamedInput:
    """One image to work on."""

    name: str
    """Relative path with ``/``, for example ``night/0001.png``; unique within a list."""
    path: Path
    """What ``read_image`` takes; a sample keeps its text, ``sample:coffee@256``."""


@dataclass(frozen=True)
class Pair:
    """A degraded image and the clean one it is compared with."""

    name: str
    """The degraded image's name."""
    degraded: Path
    clean: Path


def list_images(paths: Sequence[str | Path], *, recursive: bool = True) -> list[NamedInput]:
    """The images among files, folders and ``sample:`` names, sorted by name.

    A folder yields its files with an image suffix, those that restorekit names but does not read included (so that
    each gets its message), hidden ones not. A file that is given by itself is always taken.

    Raises:
        UsageError: Paths that do not exist, a folder without images, or inputs whose output would have the same name;
            each time all of them are listed.
    """
    missing = [str(path) for path in paths if not is_sample(str(path)) and not Path(path).exists()]
    if missing:
        raise UsageError(
            f"input: expected existing files or folders, got none at {', '.join(missing)}; check the paths"
        )
    found: dict[Path, NamedInput] = {}
    barren = []
    for path in paths:
        inputs = _expand(path, recursive=recursive)
        if not inputs:
            barren.append(str(path))
        for item in inputs:
            found.setdefault(_identity(item.path), item)
    if barren:
        expected = ", ".join(IMAGE_SUFFIXES)
        raise UsageError(f"input: expected images ({expected}), got none in {', '.join(barren)}; check the folder")
    _refuse_same_names(found.values())
    return sorted(found.values())


def list_alike(paths: Sequence[str | Path]) -> list[NamedInput]:
    """``list_images`` for photos that are measured together: none is damaged, all are of one bit depth.

    Headers are looked at, no picture is decoded.

    Raises:
        UsageError: as ``list_images``; files without a header that can be read, photos of another depth than most. All
            of those are listed, ``MOST_LISTED`` of them in words.
    """
    inputs = list_images(paths)
    if problems := _unlike([(item.name, [item.path]) for item in inputs], "photos"):
        raise UsageError(_listed("images: expected photos that can be read, all of one bit depth", problems))
    return inputs


def pair_images(degraded: str | Path, clean: str | Path, *, recursive: bool = True) -> list[Pair]:
    """Pairs of two files, or of two folders by relative path without suffix, sorted by name.

    Names and headers are looked at, no picture is decoded.

    Raises:
        UsageError: A path is missing, a file is given with a folder, or the pairs are not sound: names that do not
            match one to one, files without a header that can be read, two sizes or two bit depths in a pair, pairs of
            another depth than most. All of those are listed, ``MOST_LISTED`` of them in words.
    """
    are_folders = [Path(path).is_dir() for path in (degraded, clean)]
    inputs, references = (list_images([path], recursive=recursive) for path in (degraded, clean))
    if are_folders[0] != are_folders[1]:
        raise UsageError(f"pairs: expected two files or two folders, got {degraded} and {clean}; give two of a kind")
    if not are_folders[0]:
        pairs, problems = [Pair(inputs[0].name, inputs[0].path, references[0].path)], []
    else:
        left, right = _by_stem(inputs), _by_stem(references)
        problems = [
            *(f"{stem}: only in {degraded}" for stem in left if stem not in right),
            *(f"{stem}: only in {clean}" for stem in right if stem not in left),
            *(
                f"{stem}: several files in {folder}: {', '.join(item.name for item in items)}"
                for folder, side in ((degraded, left), (clean, right))
                for stem, items in side.items()
                if len(items) > 1
            ),
        ]
        pairs = [
            Pair(items[0].name, items[0].path, right[stem][0].path) for stem, items in left.items() if stem in right
        ]
    problems += _unlike([(pair.name, [pair.degraded, pair.clean]) for pair in pairs], "pairs")
    if problems:
        expected = "one clean image of its name (apart from the suffix), size and bit depth"
        raise UsageError(_listed(f"pairs: expected for each degraded image {expected}", problems))
    return pairs


def ensure_alike(entries: Sequence[tuple[str, Sequence[Path]]]) -> None:
    """Refuse pairs that cannot be measured together, by their headers; no picture is decoded.

    Args:
        entries: name of each pair, and its files, the degraded one first and the clean one last; or a photo alone.

    Raises:
        UsageError: as ``pair_images``, but for names.
    """
    if problems := _unlike(entries, "pairs"):
        expected = "files that can be read, degraded and clean of one size, all of one bit depth"
        raise UsageError(_listed(f"pairs: expected {expected}", problems))


def evenly_spaced(entries: Sequence[Entry], count: int | None) -> list[Entry]:
    """At most ``count`` of the entries, the first among them, evenly spaced; None: all.

    Raises:
        UsageError: ``count`` is below 1.

    >>> evenly_spaced("abcdefg", 3)
    ['a', 'c', 'e']
    """
    if count is not None and count < 1:
        raise UsageError(f"photos: expected at least 1, got {count}")
    chosen = len(entries) if count is None else min(count, len(entries))
    return [entries[index * len(entries) // chosen] for index in range(chosen)]


def _listed(expected: str, problems: Sequence[str]) -> str:
    count, more = len(problems), len(problems) - MOST_LISTED
    return "\n  ".join(
        [
            f"{expected}, got {count} problem{'s' * (count > 1)}; mend or remove these files",
            *problems[:MOST_LISTED],
            *([f"and {more} more"] if more > 0 else []),
        ]
    )


def _unlike(entries: Sequence[tuple[str, Sequence[Path]]], what: str) -> list[str]:
    """What the headers give away: files that cannot be read, two sizes or depths in an entry, another depth than most.

    Args:
        entries: name, and the photo alone or the photo and its clean image.
        what: the entries, in a word.
    """
    unread, sizes, depths = [], [], []
    alike: dict[str, str] = {}
    for name, paths in entries:
        headers = []
        for path in paths:
            try:
                headers.append(read_header(path))
            except ImageError as error:
                unread.append(str(error))
        if len(headers) < len(paths):
            continue
        degraded, clean = headers[0], headers[-1]
        if (degraded.width, degraded.height) != (clean.width, clean.height):
            sizes.append(
                f"{name}: {degraded.width}x{degraded.height} px, its clean image {clean.width}x{clean.height} px"
            )
        if degraded.depth == clean.depth:
            alike[name] = degraded.depth
        else:
            depths.append(f"{name}: {_DEPTHS[degraded.depth]}, its clean image {_DEPTHS[clean.depth]}")
    for usual, _ in Counter(alike.values()).most_common(1):
        depths += [
            f"{name}: {_DEPTHS[depth]}, most {what} {_DEPTHS[usual]}" for name, depth in alike.items() if depth != usual
        ]
    return [*unread, *sizes, *depths]


def _expand(path: str | Path, *, recursive: bool) -> list[NamedInput]:
    text = str(path)
    if is_sample(text):
        sample_path(text)  # a wrong sample name is reported now
        return [NamedInput(sample_file_name(text), Path(text))]
    root = Path(path)
    if not root.is_dir():
        return [NamedInput(_name(root.name), root)]
    found = []
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(
            name for name in folders if recursive and not name.startswith(".") and not _is_loop(Path(folder) / name)
        )
        for file in files:
            if not file.startswith(".") and Path(file).suffix.lower() in _LISTED_SUFFIXES:
                item = Path(folder) / file
                found.append(NamedInput(_name(item.relative_to(root).as_posix()), item))
    return found


def _name(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_loop(folder: Path) -> bool:
    """Whether a folder is a link to one that contains it."""
    return folder.is_symlink() and folder.resolve() in (folder.parent.resolve(), *folder.parent.resolve().parents)


def _identity(path: Path) -> Path:
    """The same for two ways to write one path; two links to one file are two images."""
    return path if is_sample(str(path)) else path.parent.resolve() / path.name


def _refuse_same_names(inputs: Iterable[NamedInput]) -> None:
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for item in inputs:
        by_name[item.name].append(str(item.path))
    same = [f"{name} ({', '.join(sorted(paths))})" for name, paths in sorted(by_name.items()) if len(paths) > 1]
    if same:
        raise UsageError(
            f"input: expected a different output name for each image, got the same for {'; '.join(same)}; "
            "give their common folder, or run them apart"
        )


def _by_stem(inputs: Sequence[NamedInput]) -> Mapping[str, list[NamedInput]]:
    by_stem: defaultdict[str, list[NamedInput]] = defaultdict(list)
    for item in inputs:
        by_stem[str(PurePosixPath(item.name).with_suffix(""))].append(item)
    return by_stem
