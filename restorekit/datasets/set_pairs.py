"""The pairs of a data set on disk as arrays, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np

from restorekit.core.image.convention import Samples
from restorekit.datasets.layout import Located, PartFiles, SetFiles, locate_set
from restorekit.datasets.reading import read_blocks, read_picture
from restorekit.errors import ImageError, UsageError

__all__ = ["SetPair", "pairs"]


@dataclass(frozen=True)
class SetPair:
    """A degraded picture and its clean one."""

    degraded: Samples
    """(height, width, channels), in the file's depth, red first; dual pixel: 6 channels, the left view first."""
    clean: Samples
    """(height, width, 1 or 3), of the degraded one's height and width."""
    name: str
    """The degraded file, relative to the folder; of a block: its file and index. What seeds are derived from."""


def pairs(folder: str | Path, name: str | None = None, *, split: str | None = None) -> Iterator[SetPair]:
    """The pairs of the data set in ``folder``, read one by one, sorted within a part.

    Args:
        folder: where the set lies.
        name: one of the catalogue; None recognises it.
        split: train, val, test or all; None takes every part that is there.

    Raises:
        UsageError: as ``locate_set``; no such split is there, the set has clean pictures only, or files lack their
            partners, all of which are named. These are raised now, before the first pair is asked for.
        ImageError: while iterating: a file cannot be read, or a pair has two sizes.
    """
    located = locate_set(folder, name)
    parts = [files for files in located.parts if split in (None, files.part.split)]
    _check(located, parts, split)
    return (pair for files in parts for pair in _part_pairs(files))


def _check(located: SetFiles, parts: list[PartFiles], split: str | None) -> None:
    title = located.dataset.title
    if not parts:
        there = ", ".join(files.part.split for files in located.parts)
        raise UsageError(f"split: expected one that is in {located.folder} ({there}), got {split!r}")
    if not all(files.views for files in parts):
        raise UsageError(
            f"{located.folder}: expected pairs, got {title}, which has clean pictures only; "
            "degrade them first: restorekit degrade FOLDER -o OUT --degrade noise:sigma=25"
        )
    lonely = [name for files in parts for name in _without_partner(files)]
    if lonely:
        raise UsageError(
            f"{located.folder}: expected one clean image for each degraded one, got {len(lonely)} without: "
            f"{'; '.join(lonely)}; see 'restorekit data check {located.folder}'"
        )


def _without_partner(files: PartFiles) -> list[str]:
    if files.part.pairing == "order":
        lengths = [len(items) for items in (*files.views, files.clean)]
        return [] if len(set(lengths)) == 1 else [f"{files.part.split}: {' and '.join(map(str, lengths))} files"]
    return [views[0].name for views, clean in files.partners() if len(clean) != 1]


def _part_pairs(files: PartFiles) -> Iterator[SetPair]:
    for views, (clean, *_) in files.partners():
        if views[0].path.suffix.lower() == ".mat":
            yield from _block_pairs(views[0], clean)
            continue
        pictures = [read_picture(view.path, bgr=files.part.bgr) for view in views]
        reference = read_picture(clean.path, bgr=files.part.bgr)
        if files.part.larger_clean:
            reference = centre(reference, pictures[0].shape[0], pictures[0].shape[1])
        sizes = {picture.shape[:2] for picture in (*pictures, reference)}
        if len(sizes) > 1:
            listed = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
            raise ImageError(f"{views[0].path}: expected the size of {clean.path}, got {listed}; check the set")
        yield SetPair(_joined(pictures), reference, views[0].name)


def _block_pairs(degraded: Located, clean: Located) -> Iterator[SetPair]:
    folder = str(PurePosixPath(degraded.name).with_suffix(""))
    both = zip(read_blocks(degraded.path), read_blocks(clean.path), strict=True)
    for (index, block), (_, reference) in both:
        yield SetPair(block, reference, f"{folder}/{index}")


def _joined(views: list[Samples]) -> Samples:
    """The channels of all views in one array."""
    return views[0] if len(views) == 1 else cast("Samples", np.concatenate(views, axis=2))


def centre(samples: Samples, height: int, width: int) -> Samples:
    """The middle of a picture, (height, width); as it is where it is smaller."""
    top, left = max(0, samples.shape[0] - height) // 2, max(0, samples.shape[1] - width) // 2
    return samples[top : top + height, left : left + width]
