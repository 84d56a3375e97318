"""Whether pictures to test on are among those that were trained on: near-duplicates of two folders.

Two stages: fingerprints within ``MAX_DISTANCE`` bits in any of eight orientations make a candidate, thumbnails alike by
``MIN_LIKENESS`` make a leak. Crops of a picture are not found, nor what a strong degradation hides.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import NamedInput, list_images
from restorekit.datasets.fingerprint import ORIENTATIONS, bits_of, hamming, likeness, orient, thumbnail
from restorekit.errors import ImageError, UsageError

__all__ = ["MAX_DISTANCE", "MIN_LIKENESS", "Leak", "LeakReport", "find_leaks"]

MAX_DISTANCE = 12
"""Bits of 64 that may differ."""

MIN_LIKENESS = 0.9
"""Correlation of thumbnails from which two pictures are one."""

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, order=True)
class Leak:
    """A test picture and the training picture that it is."""

    test: str
    train: str
    distance: int
    """Bits of 64 that differ."""
    likeness: float
    """Correlation of their thumbnails, in [-1, 1]."""
    orientation: str
    """How the test picture lies against the training picture: one of ``ORIENTATIONS``."""


@dataclass(frozen=True)
class LeakReport:
    """What was compared and found."""

    train: int
    test: int
    """Pictures that could be compared."""
    leaks: tuple[Leak, ...]
    """Sorted by test picture, the likest training picture first."""
    skipped: tuple[str, ...]
    """One line for each picture that could not be: unreadable, or one flat colour."""


@dataclass(frozen=True)
class _Seen:
    names: list[str]
    bits: npt.NDArray[np.uint64]
    small: list[npt.NDArray[np.float32]]
    skipped: list[str]


def find_leaks(
    train: str | Path,
    test: str | Path,
    *,
    max_distance: int = MAX_DISTANCE,
    on_file: Callable[[str], None] | None = None,
) -> LeakReport:
    """Compare every picture below ``test`` with every one below ``train``.

    Args:
        train, test: folders (with their subfolders) or single pictures, one not within the other.
        max_distance: bits of 64 that may differ, 0 to 32.
        on_file: called with each picture's name when it has been read.

    Raises:
        UsageError: a path is missing or without pictures, one holds the other, or ``max_distance`` is out of range.
    """
    if not 0 <= max_distance <= 32:
        raise UsageError(
            f"--distance: expected 0 to 32 bits, got {max_distance}; unrelated pictures differ in about 32"
        )
    here, there = Path(train).resolve(), Path(test).resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise UsageError(f"leak: expected two folders apart from each other, got {train} and {test}; give two others")
    inputs = [list_images([path]) for path in (train, test)]
    known, asked = (_see(items, on_file) for items in inputs)
    leaks = [leak for way in range(len(ORIENTATIONS)) for leak in _matches(known, asked, way, max_distance)]
    best: dict[tuple[str, str], Leak] = {}
    for leak in sorted(leaks, key=lambda leak: leak.likeness):
        best[leak.test, leak.train] = leak
    ordered = sorted(best.values(), key=lambda leak: (leak.test, -leak.likeness, leak.train))
    return LeakReport(len(known.names), len(asked.names), tuple(ordered), tuple(known.skipped + asked.skipped))


def _see(items: Sequence[NamedInput], on_file: Callable[[str], None] | None) -> _Seen:
    names, bits, small, skipped = [], [], [], []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as workers:
        for item, seen in zip(items, workers.map(_thumbnail, items), strict=True):
            if on_file:
                on_file(item.name)
            fingerprint = None if isinstance(seen, str) else bits_of(seen)
            if isinstance(seen, str) or fingerprint is None:
                skipped.append(seen if isinstance(seen, str) else f"{item.path}: one flat colour, like any other")
                continue
            names.append(item.name)
            bits.append(fingerprint)
            small.append(seen)
    return _Seen(names, np.array(bits, dtype=np.uint64), small, skipped)


def _thumbnail(item: NamedInput) -> npt.NDArray[np.float32] | str:
    try:
        return thumbnail(read_image(item.path).samples)
    except ImageError as error:
        return str(error)


def _matches(known: _Seen, asked: _Seen, way: int, max_distance: int) -> list[Leak]:
    turned = [orient(small, way) for small in asked.small]
    bits = np.array([bits_of(small) for small in turned], dtype=np.uint64)
    leaks = []
    for start in range(0, len(known.names), _ROWS_AT_ONCE):
        distances = hamming(known.bits[start : start + _ROWS_AT_ONCE], bits)
        for row, column in zip(*np.nonzero(distances <= max_distance), strict=True):
            alike = likeness(known.small[start + row], turned[column])
            if alike >= MIN_LIKENESS:
                distance = int(distances[row, column])
                leaks.append(Leak(asked.names[column], known.names[start + row], distance, alike, ORIENTATIONS[way]))
    return leaks
