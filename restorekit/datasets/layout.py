"""Which of the catalogue's layouts a folder has, and which of its files belong together.

A folder may be given from any level: ``SOTS``, or ``SOTS/indoor``, whose own name then stands for the first folder of
the templates.
"""

import itertools
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from restorekit.core.image.pairs import list_images
from restorekit.datasets.known_sets import DataSet, Part, catalogue, find_set
from restorekit.datasets.template import ARRAY_SUFFIXES, Template
from restorekit.errors import UsageError

__all__ = ["Located", "PartFiles", "SetFiles", "locate_set", "plain_name"]


@dataclass(frozen=True)
class Located:
    """A file that a template stands for."""

    name: str
    """Path relative to the folder that was given, with ``/``."""
    path: Path
    fields: Mapping[str, str]


@dataclass(frozen=True)
class PartFiles:
    """The files of one part."""

    part: Part
    views: tuple[tuple[Located, ...], ...]
    """Degraded files, one list for each of the part's templates."""
    clean: tuple[Located, ...]
    also: tuple[str, ...]
    """Names of files that lie there and are not used."""
    cut: int
    """How many leading folders of the templates the given folder stands for."""
    agreement: int
    """How many of those are in the given folder's path."""

    @cached_property
    def names(self) -> frozenset[str]:
        """Every file of this part that is used."""
        return frozenset(item.name for items in (*self.views, self.clean) for item in items)

    @property
    def main(self) -> tuple[Located, ...]:
        """What is counted and named: the degraded files, or the clean ones where there are no others."""
        return self.views[0] if self.views else self.clean

    @property
    def has_pairs(self) -> bool:
        """Whether there is something on either side."""
        return all(self.views) and bool(self.clean)

    @property
    def is_of_papers(self) -> bool:
        """Whether the count is known and met."""
        return len(self.main) in self.part.count

    def key(self, item: Located) -> tuple[str, ...]:
        """What is equal for files that belong together."""
        return tuple(item.fields[field] for field in self.part.shared)

    def clean_by_key(self) -> dict[tuple[str, ...], list[Located]]:
        """The clean files of every key; one each, unless something is wrong."""
        by_key: defaultdict[tuple[str, ...], list[Located]] = defaultdict(list)
        for item in self.clean:
            by_key[self.key(item)].append(item)
        return by_key

    def partners(self) -> list[tuple[tuple[Located, ...], list[Located]]]:
        """Each degraded picture (its views) with its clean files: one, unless something is wrong."""
        if self.part.pairing == "order":
            columns = [sorted(items, key=_natural) for items in (*self.views, self.clean)]
            return [(tuple(row[:-1]), [row[-1]]) for row in zip(*columns, strict=False)]
        clean = self.clean_by_key()
        return [((item,), clean.get(self.key(item), [])) for item in (self.views[0] if self.views else ())]

    def expected_clean(self, item: Located) -> str:
        """Where the clean image of a degraded one should be."""
        values = {field: item.fields[field] for field in self.part.shared}
        return Template(self.part.clean).without(self.cut).fill(values)


@dataclass(frozen=True)
class SetFiles:
    """A folder seen as a data set."""

    dataset: DataSet
    layout: str
    folder: Path
    parts: tuple[PartFiles, ...]
    """Those that are there, in the catalogue's order."""
    unused: tuple[str, ...]
    """Names of files that belong to no part."""
    recognised_by: tuple[str, ...]
    """What spoke for this set: its folder's name, its folders, its counts, its file names."""

    @cached_property
    def names(self) -> frozenset[str]:
        """Every file of the set that is used."""
        return frozenset().union(*(files.names for files in self.parts))

    def only(self, split: str) -> "SetFiles":
        """The same with the parts of one split."""
        return replace(self, parts=tuple(files for files in self.parts if files.part.split == split))

    @property
    def absent(self) -> tuple[Part, ...]:
        """The layout's parts of which nothing is there."""
        present = [files.part for files in self.parts]
        return tuple(part for part in self.dataset.parts_of(self.layout) if part not in present)


def locate_set(folder: str | Path, name: str | None = None) -> SetFiles:
    """See a folder as the data set ``name``, or as the one that it looks most like.

    Raises:
        UsageError: no folder, no files in it; no set of that name, or the folder has none of its layouts; without
            ``name``: the folder looks like no set, or like several alike, which the message lists.
    """
    root = Path(folder)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{folder}: expected the folder of a data set, got a file; give its folder")
    files = _scan(root)
    sets = [find_set(name)] if name else list(catalogue().values())
    seen = [found for dataset in sets for layout in dataset.layouts if (found := _see(dataset, layout, root, files))]
    if not seen:
        raise UsageError(_unlike(root, files, sets))
    best = max(seen, key=_score)
    alike = [found for found in seen if _score(found) == _score(best)]
    beside = [found for found in seen if "folder's name" in found.recognised_by and not found.names & best.names]
    _refuse_several(root, [best, *beside], "one that holds")
    _refuse_several(root, alike, "one that may be")
    return best


def _refuse_several(root: Path, found: Sequence[SetFiles], what: str) -> None:
    names = list(dict.fromkeys(item.dataset.name for item in found))
    if len(names) > 1:
        raise UsageError(
            f"{root}: expected the folder of one data set, got {what} {', '.join(names)}; say which with --as NAME"
        )


def _scan(root: Path) -> dict[str, Path]:
    """Every image and array below a folder by name, sorted; hidden ones not."""
    arrays = {}
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and not (Path(folder) / name).is_symlink()]
        for name in names:
            if name.lower().endswith(ARRAY_SUFFIXES) and not name.startswith("."):
                path = Path(folder) / name
                arrays[unicodedata.normalize("NFC", path.relative_to(root).as_posix())] = path
    try:
        images = {item.name: item.path for item in list_images([root])}
    except UsageError:
        if not arrays:
            raise
        images = {}
    return dict(sorted((images | arrays).items()))


def _see(dataset: DataSet, layout: str, root: Path, files: Mapping[str, Path]) -> SetFiles | None:
    """The folder as this set in this layout; None if no part has both its sides."""
    candidates = [found for part in dataset.parts_of(layout) if (found := _find(part, root, files))]
    parts = tuple(found for found in candidates if _is_there(found, candidates))
    if not any(found.has_pairs for found in parts):
        return None
    used: set[str] = set().union(*(found.names for found in parts), *(found.also for found in parts))
    unused = tuple(name for name in files if name not in used)
    return SetFiles(dataset, layout, root, parts, unused, tuple(_evidence(dataset, root, parts)))


def _find(part: Part, root: Path, files: Mapping[str, Path]) -> PartFiles | None:
    """A part's files, seen from the level at which most are found; None if there are none."""
    texts = (*part.degraded, part.clean)
    lead = _common_start([Template(text).folders for text in texts])
    trail = [name.lower() for name in root.resolve().parts]
    best = None
    for cut in range(len(lead) + 1):
        agreement = next((n for n in range(cut) if _at(trail, -1 - n) != lead[cut - 1 - n].lower()), cut)
        if cut and not agreement:
            continue
        views = tuple(_matching(Template(text).without(cut), files) for text in part.degraded)
        clean = _matching(Template(part.clean).without(cut), files)
        also = tuple(item.name for text in part.also for item in _matching(Template(text).without(cut), files))
        found = PartFiles(part, views, clean, also, cut, agreement)
        if found.names and (best is None or len(found.names) > len(best.names)):
            best = found
    return best


def _common_start(paths: Sequence[Sequence[str]]) -> list[str]:
    columns = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return [names[0] for names in columns]


def _at(parts: Sequence[str], index: int) -> str:
    return parts[index] if -index <= len(parts) else ""


def _matching(template: Template, files: Mapping[str, Path]) -> tuple[Located, ...]:
    matches = ((name, path, template.match(name)) for name, path in files.items())
    return tuple(Located(name, path, fields) for name, path, fields in matches if fields is not None)


def _is_there(found: PartFiles, candidates: Sequence[PartFiles]) -> bool:
    """Not if all it has is another part's: the same files under another split, or only a folder of clean images."""
    others = [other for other in candidates if other is not found]
    main = {item.name for item in found.main}
    if not main:
        return not any({item.name for item in found.clean} <= other.names for other in others if other.main)
    rivals = [other for other in others if main == {item.name for item in other.main}]
    rank = (found.agreement, found.is_of_papers)
    return all(
        rank > (other.agreement, other.is_of_papers)
        or (rank == (other.agreement, other.is_of_papers) and candidates.index(found) < candidates.index(other))
        for other in rivals
    )


def _evidence(dataset: DataSet, root: Path, parts: Iterable[PartFiles]) -> Iterable[str]:
    own, above = (*(plain_name(name) for name in reversed(root.resolve().parts)), "", "")[:2]
    aliases = {plain_name(alias) for alias in (dataset.name, *dataset.aliases)}
    if own in aliases or above + own in aliases or above in aliases:
        yield "folder's name"
    if any("/" in text for found in parts for text in found.part.degraded):
        yield "folders"
    if any(found.is_of_papers for found in parts):
        yield "counts"
    if any(found.part.ids and _numbered(found) for found in parts):
        yield "file names"


def plain_name(name: str) -> str:
    """A folder's name without case and punctuation: ``LOL-v1`` and ``LOLv1`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _numbered(found: PartFiles) -> bool:
    """Whether most files are named as in the edition of the papers, and most of those names are there."""
    names = {"".join(found.key(item)) for item in found.main}
    wanted = set(found.part.ids.texts()) if found.part.ids else set()
    return 2 * len(names & wanted) > max(len(names), len(wanted))


def _score(found: SetFiles) -> tuple[int, int, int, int]:
    """What makes one set more likely than another, the strongest first."""
    words = Counter(found.recognised_by)
    fixed = max(sum(len(Template(text).folders) for text in (*f.part.degraded, f.part.clean)) for f in found.parts)
    return words["folder's name"], words["counts"] + words["file names"], fixed, len(found.names)


def _unlike(root: Path, files: Mapping[str, Path], sets: Sequence[DataSet]) -> str:
    got = f"{len(files)} files such as {', '.join(list(files)[:3])}"
    if len(sets) > 1:
        return f"{root}: expected the layout of a known data set, got {got}; see 'restorekit data list'"
    wanted = [" with ".join(str(Template(text)) for text in (*part.degraded, part.clean)) for part in sets[0].parts]
    return f"{root}: expected {sets[0].title} laid out as {'; or '.join(wanted)}; got {got}; check the folder"


def _natural(item: Located) -> list[tuple[int, str]]:
    """Numbers in names sort by value: 2 before 10."""
    pieces = re.split(r"(\d+)", item.name)
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces]
