"""The pairs of a data set on disk: listed by name first, then read as arrays, one after another."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np

from restorekit.core.image.convention import Samples
from restorekit.core.image.pairs import NamedInput, ensure_alike
from restorekit.datasets.known_sets import Part
from restorekit.datasets.layout import Located, PartFiles, SetFiles, locate_set
from restorekit.datasets.reading import block_names, read_blocks, read_picture
from restorekit.datasets.template import ARRAY_SUFFIXES
from restorekit.errors import ImageError, UsageError

__all__ = ["SetEntry", "SetPair", "clean_images", "ensure_sound", "list_entries", "pairs", "read_entries"]


@dataclass(frozen=True)
class SetPair:
    """A degraded picture and its clean one."""

    degraded: Samples
    """(height, width, channels), in the file's depth, red first; dual pixel: 6 channels, the left view first."""
    clean: Samples
    """(height, width, 1 or 3), of the degraded one's height and width."""
    name: str
    """The degraded file, relative to the folder; of a block: its file and index. What seeds are derived from."""


@dataclass(frozen=True)
class SetEntry:
    """The files of a pair."""

    name: str
    """As ``SetPair`` has it."""
    views: tuple[Located, ...]
    clean: Located
    part: Part
    block: str | None = None
    """Which block of the files; None for files of one picture."""


def pairs(folder: str | Path, name: str | None = None, *, split: str | None = None) -> Iterator[SetPair]:
    """The pairs of the data set in ``folder``, read one by one, sorted within a part.

    Args:
        folder: where the set lies.
        name: one of the catalogue; None recognises it.
        split: train, val, test or all; None takes every part that is there.

    Raises:
        UsageError: as ``locate_set``; no such split is there, the set has clean pictures only, or files lack their
            partners, all of which are named. These are raised now, before the first pair is asked for.
        ImageError: a file cannot be read, or a pair has two sizes; while iterating, but for files of blocks.
    """
    located = locate_set(folder, name)
    chosen = located if split is None else located.only(split)
    if not chosen.parts:
        there = ", ".join(files.part.split for files in located.parts)
        raise UsageError(f"split: expected one that is in {located.folder} ({there}), got {split!r}")
    return read_entries(list_entries(chosen))


def list_entries(located: SetFiles) -> list[SetEntry]:
    """The pairs of all parts as files; no picture is read.

    Raises:
        UsageError: the set has clean pictures only, or files lack their partners.
        ImageError: a file of blocks cannot be read, or its partner has another number of them.
    """
    if not all(files.views for files in located.parts):
        raise UsageError(
            f"{located.folder}: expected pairs, got {located.dataset.title}, which has clean pictures only; "
            "degrade them first: restorekit degrade FOLDER -o OUT --degrade noise:sigma=25"
        )
    lonely = [name for files in located.parts for name in _without_partner(files)]
    if lonely:
        raise UsageError(
            f"{located.folder}: expected one clean image for each degraded one, got {len(lonely)} without: "
            f"{'; '.join(lonely)}; see 'restorekit data check {located.folder}'"
        )
    return [entry for files in located.parts for entry in _part_entries(files)]


def read_entries(entries: Sequence[SetEntry]) -> Iterator[SetPair]:
    """The pictures of pairs, read as they are asked for; a file of blocks once.

    Raises:
        ImageError: a file cannot be read, or a pair has two sizes.
    """
    for _, group in itertools.groupby(entries, key=lambda entry: (entry.views, entry.clean)):
        same = list(group)
        yield from _read_blocks(same) if same[0].block else map(_read_pair, same)


def clean_images(located: SetFiles) -> list[NamedInput]:
    """The clean pictures that belong to the set, each once, sorted by name.

    Raises:
        UsageError: they are arrays, not images.
    """
    found: dict[str, Path] = {}
    for files in located.parts:
        paired = [clean for _, matches in files.partners() for clean in matches] if files.views else files.clean
        found |= {item.name: item.path for item in paired}
    if arrays := [name for name in found if name.lower().endswith(ARRAY_SUFFIXES)]:
        raise UsageError(f"{located.folder}: expected clean pictures as image files, got {arrays[0]}; convert them")
    return sorted(itertools.starmap(NamedInput, found.items()))


def ensure_sound(entries: Sequence[SetEntry]) -> None:
    """Look at the headers of all image files; arrays are looked at when they are read.

    Raises:
        UsageError: as ``ensure_alike``.
    """
    groups: list[tuple[str, list[Path]]] = []
    for entry in entries:
        if entry.clean.path.suffix.lower() in ARRAY_SUFFIXES:
            continue
        degraded = [view.path for view in entry.views]
        if entry.part.larger_clean:
            groups += [(entry.name, degraded), (entry.clean.name, [entry.clean.path])]
        else:
            groups.append((entry.name, [*degraded, entry.clean.path]))
    ensure_alike(groups)


def _without_partner(files: PartFiles) -> list[str]:
    if files.part.pairing == "order":
        lengths = [len(items) for items in (*files.views, files.clean)]
        return [] if len(set(lengths)) == 1 else [f"{files.part.split}: {' and '.join(map(str, lengths))} files"]
    return [views[0].name for views, clean in files.partners() if len(clean) != 1]


def _part_entries(files: PartFiles) -> Iterator[SetEntry]:
    for views, (clean, *_) in files.partners():
        if views[0].path.suffix.lower() != ".mat":
            yield SetEntry(views[0].name, views, clean, files.part)
            continue
        blocks, others = block_names(views[0].path), block_names(clean.path)
        if blocks != others:
            raise ImageError(
                f"{views[0].path}: expected the blocks of {clean.path}, got {len(blocks)} for {len(others)}; "
                "check the set"
            )
        folder = str(PurePosixPath(views[0].name).with_suffix(""))
        for block in blocks:
            yield SetEntry(f"{folder}/{block}", views, clean, files.part, block)


def _read_pair(entry: SetEntry) -> SetPair:
    part = entry.part
    pictures = [read_picture(view.path, bgr=part.bgr) for view in entry.views]
    reference = read_picture(entry.clean.path, bgr=part.bgr)
    if part.larger_clean:
        reference = centre(reference, pictures[0].shape[0], pictures[0].shape[1])
    sizes = {picture.shape[:2] for picture in (*pictures, reference)}
    if len(sizes) > 1:
        listed = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
        path = entry.views[0].path
        raise ImageError(f"{path}: expected the size of {entry.clean.path}, got {listed}; check the set")
    return SetPair(_joined(pictures), reference, entry.name)


def _read_blocks(entries: Sequence[SetEntry]) -> Iterator[SetPair]:
    """Some blocks of one file."""
    wanted = {entry.block: entry.name for entry in entries}
    both = zip(read_blocks(entries[0].views[0].path), read_blocks(entries[0].clean.path), strict=True)
    return (SetPair(block, other, wanted[index]) for (index, block), (_, other) in both if index in wanted)


def _joined(views: list[Samples]) -> Samples:
    """The channels of all views in one array."""
    return views[0] if len(views) == 1 else cast("Samples", np.concatenate(views, axis=2))


def centre(samples: Samples, height: int, width: int) -> Samples:
    """The middle of a picture, (height, width); as it is where it is smaller."""
    top, left = max(0, samples.shape[0] - height) // 2, max(0, samples.shape[1] - width) // 2
    return samples[top : top + height, left : left + width]
