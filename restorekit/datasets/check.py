"""What is wrong with a data set on disk: everything at once, nothing changed.

A problem is of one of the ``KINDS``. A split that is not there at all is none: many people hold the test
set only.
"""

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from restorekit.core.image.files import decode_image
from restorekit.datasets.known_sets import Counts
from restorekit.datasets.layout import Located, PartFiles, SetFiles, locate_set
from restorekit.datasets.reading import block_count, block_shape
from restorekit.errors import ImageError

__all__ = ["KINDS", "CheckReport", "PartReport", "Problem", "check_set"]

KINDS = {
    "count": "other than as many files as the set has",
    "missing": "a file whose partner is there, or whose number is within the set's, is not",
    "several": "more than one clean image for a degraded one",
    "stray": "belongs to no part of the set",
    "unreadable": "cannot be read",
    "size": "a degraded image and its clean one have two sizes",
    "depth": "bits per sample differ within a part, or from the set's",
    "duplicate": "the same file content under two names",
}
"""Kind of problem -> what it means."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    names: tuple[str, ...]
    """The files it is about, relative to the folder; of a missing file, where it should be."""
    message: str


@dataclass(frozen=True)
class PartReport:
    """How many images a part has, and should have; no expectation where that is not known."""

    split: str
    degraded: int
    clean: int
    expected_degraded: Counts
    expected_clean: Counts


@dataclass(frozen=True)
class CheckReport:
    """What was found."""

    folder: str
    name: str
    layout: str
    recognised_by: tuple[str, ...]
    """Empty where the name was given."""
    parts: tuple[PartReport, ...]
    absent: tuple[str, ...]
    """Splits of which nothing is there."""
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """Worth knowing, and not wrong."""


@dataclass(frozen=True)
class _Look:
    """What a file holds."""

    height: int
    width: int
    depth: str
    digest: str
    """Of the file's bytes; empty for files of blocks."""
    error: str = ""


def check_set(
    folder: str | Path,
    name: str | None = None,
    *,
    quick: bool = False,
    on_file: Callable[[str], None] | None = None,
) -> CheckReport:
    """Look at every file of the data set in ``folder``.

    Args:
        folder: where the set lies.
        name: one of the catalogue; None recognises it.
        quick: names and counts only, no file is opened.
        on_file: called with each file's name when it has been read.

    Raises:
        UsageError: as ``locate_set``.
    """
    located = locate_set(folder, name)
    problems = [problem for files in located.parts for problem in _names(files)]
    problems += [Problem("stray", (stray,), f"{stray}: belongs to no part of the set") for stray in located.unused]
    problems += _clean_alone(located)
    if not quick:
        looks = _look_at_all(located, on_file)
        problems += _contents(located, looks)
    order = list(KINDS)
    return CheckReport(
        folder=str(folder),
        name=located.dataset.name,
        layout=located.layout,
        recognised_by=() if name else located.recognised_by,
        parts=tuple(_part_report(files) for files in located.parts),
        absent=tuple(part.split for part in located.absent),
        problems=tuple(sorted(problems, key=lambda problem: (order.index(problem.kind), problem.names))),
        notes=tuple(_notes(located)),
    )


def _part_report(files: PartFiles) -> PartReport:
    degraded, clean = files.part.expected
    return PartReport(
        files.part.split, _count(files.views[0] if files.views else ()), _count(files.clean), degraded, clean
    )


def _count(items: Iterable[Located]) -> int:
    """Pictures, of which a file of blocks has many; 0 for one that cannot be read."""
    total = 0
    for item in items:
        try:
            total += block_count(item.path) if item.path.suffix.lower() == ".mat" else 1
        except ImageError:
            continue
    return total


def _names(files: PartFiles) -> Iterator[Problem]:
    """What the names alone give away."""
    report = _part_report(files)
    sides = (("degraded", report.degraded, report.expected_degraded), ("clean", report.clean, report.expected_clean))
    for side, count, expected in sides:
        if expected and count not in expected:
            wanted = " or ".join(map(str, expected))
            yield Problem("count", (), f"{report.split}: expected {wanted} {side} images, got {count}")
    lengths = {len(items) for items in (*files.views, files.clean)}
    if files.part.pairing == "order" and len(lengths) > 1:
        views = " and ".join(str(len(items)) for items in (*files.views, files.clean))
        yield Problem("missing", (), f"{report.split}: expected lists of one length to pair in order, got {views}")
    elif files.part.pairing == "fields":
        for (item, *_), clean in files.partners():
            if not clean:
                wanted = files.expected_clean(item)
                yield Problem("missing", (wanted,), f"{wanted}: the clean image of {item.name} is not there")
            if len(clean) > 1:
                names = tuple(other.name for other in clean)
                yield Problem("several", names, f"{item.name}: expected one clean image, got {', '.join(names)}")
    for wanted in _missing_numbers(files):
        yield Problem("missing", (wanted,), f"{report.split}: nothing is there for {wanted}")


def _missing_numbers(files: PartFiles) -> list[str]:
    """Numbered names that no file has, if the files are named as in the edition of the papers."""
    if files.part.ids is None:
        return []
    wanted = files.part.ids.texts()
    there = {"".join(files.key(item)) for item in (*files.main, *files.clean)}
    return [text for text in wanted if text not in there] if len(there & set(wanted)) * 2 > len(wanted) else []


def _clean_alone(located: SetFiles) -> Iterator[Problem]:
    """Clean images that no degraded one of any part belongs to."""
    paired = {clean.name for files in located.parts for _, matches in files.partners() for clean in matches}
    shared = {part.clean for part in located.absent}  # a folder of clean images that an absent split uses, too
    for files in located.parts:
        if not files.views or files.part.pairing == "order" or files.part.clean in shared:
            continue
        for item in files.clean:
            if item.name not in paired:
                paired.add(item.name)
                yield Problem("missing", (item.name,), f"{item.name}: no degraded image belongs to it")


def _look_at_all(located: SetFiles, on_file: Callable[[str], None] | None) -> dict[str, _Look]:
    used = {item.name: item for files in located.parts for item in (*chain(*files.views), *files.clean)}

    def look(item: Located) -> tuple[str, _Look]:
        return item.name, _look(item.path)

    looks = {}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as workers:
        for name, seen in workers.map(look, used.values()):
            looks[name] = seen
            if on_file:
                on_file(name)
    return looks


def _look(path: Path) -> _Look:
    try:
        if path.suffix.lower() == ".mat":
            shape, depth = block_shape(path)
            return _Look(shape[-3], shape[-2], depth, "")
        data = path.read_bytes()
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        if path.suffix.lower() == ".npy":
            array = np.load(io.BytesIO(data), allow_pickle=False)
            if array.ndim not in (2, 3):
                raise ValueError(f"an array of shape {array.shape}")
            return _Look(array.shape[0], array.shape[1], array.dtype.name, digest)
        image = decode_image(data, path.name)
        return _Look(image.height, image.width, image.dtype.name, digest)
    except (ImageError, OSError, ValueError, EOFError) as error:
        return _Look(0, 0, "", "", str(error) or type(error).__name__)


def _contents(located: SetFiles, looks: Mapping[str, _Look]) -> Iterator[Problem]:
    """What only the files' contents give away."""
    for name, look in looks.items():
        if look.error:
            yield Problem("unreadable", (name,), f"{name}: {look.error.removeprefix(f'{Path(name).name}: ')}")
    for files in located.parts:
        yield from _sizes(files, looks)
        yield from _depths(files, looks, located.dataset.depth)
    yield from _duplicates(located, looks)


def _sizes(files: PartFiles, looks: Mapping[str, _Look]) -> Iterator[Problem]:
    for views, clean in files.partners():
        readable = [item for item in views if not looks[item.name].error]
        for item, other in ((item, other) for item in readable for other in clean if not looks[other.name].error):
            mine, theirs = looks[item.name], looks[other.name]
            fits = theirs.height >= mine.height and theirs.width >= mine.width and files.part.larger_clean
            if not fits and (mine.height, mine.width) != (theirs.height, theirs.width):
                yield Problem(
                    "size",
                    (item.name, other.name),
                    f"{item.name} is {mine.width}x{mine.height}, {other.name} is {theirs.width}x{theirs.height}",
                )


def _depths(files: PartFiles, looks: Mapping[str, _Look], expected: str | None) -> Iterator[Problem]:
    by_depth: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(files.names):
        if not looks[name].error:
            by_depth[looks[name].depth].append(name)
    usual = expected or max(by_depth, key=lambda depth: len(by_depth[depth]), default="")
    for depth, names in by_depth.items():
        if depth != usual:
            source = "the set's" if expected else "that of most"
            yield Problem(
                "depth",
                tuple(names),
                f"{files.part.split}: expected {usual}, {source}, got {depth}: {', '.join(names)}",
            )


def _duplicates(located: SetFiles, looks: Mapping[str, _Look]) -> Iterator[Problem]:
    """Equal contents; among the clean images of one part they are expected (one scene, degraded several ways)."""
    place = {item.name: (at, "clean") for at, files in enumerate(located.parts) for item in files.clean}
    place |= {item.name: (at, item.name) for at, files in enumerate(located.parts) for item in chain(*files.views)}
    if all(not files.views for files in located.parts):
        place = {name: (0, name) for name in place}
    by_digest: defaultdict[str, list[str]] = defaultdict(list)
    for name, look in looks.items():
        if look.digest:
            by_digest[look.digest].append(name)
    for names in by_digest.values():
        if len({place[name] for name in names}) > 1:
            yield Problem("duplicate", tuple(sorted(names)), f"the same content: {', '.join(sorted(names))}")


def _notes(located: SetFiles) -> Iterator[str]:
    if located.dataset.notes:
        yield located.dataset.notes
    for files in located.parts:
        if files.part.note:
            yield f"{files.part.split}: {files.part.note}"
