"""The photos of a comparison: degraded here, degraded already with their references, or without any."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from restorekit.core.degradation.chain import degrade_images, parse_degradation
from restorekit.core.image.convention import Samples, to_images
from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import NamedInput, Pair
from restorekit.core.image.patches import centred_window
from restorekit.core.randomness import generator_for
from restorekit.errors import UsageError

__all__ = ["Subject", "as_colour", "centre_of", "degraded_subjects", "paired_subjects"]


@dataclass(frozen=True)
class Subject:
    """One photo to compare on: degraded samples, and the clean ones if there are any."""

    name: str
    degraded: Samples
    clean: Samples | None
    warnings: tuple[str, ...] = ()


def degraded_subjects(inputs: Sequence[NamedInput], spec: str | None, *, seed: int) -> Iterator[Subject]:
    """Photos read one by one; with a spec they are the clean ones and their degraded versions are made here.

    The random numbers come from (seed, name of the photo); degraded samples stay float, as drawn.
    """
    degradation = parse_degradation(spec) if spec else None
    for entry in inputs:
        source = read_image(entry.path)
        if degradation is None:
            yield Subject(entry.name, source.samples, None, source.warnings)
            continue
        clean = to_images(source.samples)
        degraded, _ = degrade_images(clean, degradation, generator=generator_for(seed, entry.name))
        samples = degraded[0].permute(1, 2, 0).numpy()
        yield Subject(entry.name, np.ascontiguousarray(samples), as_colour(source.samples), source.warnings)


def paired_subjects(pairs: Sequence[Pair]) -> Iterator[Subject]:
    """Degraded photos with their references, as they lie on disk.

    Raises:
        UsageError: the two photos of a pair differ in size.
    """
    for pair in pairs:
        degraded, clean = read_image(pair.degraded), read_image(pair.clean)
        if degraded.samples.shape[:2] != clean.samples.shape[:2]:
            raise UsageError(
                f"{pair.name}: expected degraded and clean of one size, got {degraded.width}x{degraded.height} "
                f"and {clean.width}x{clean.height} px; crop one to the other"
            )
        warnings = (*degraded.warnings, *clean.warnings)
        yield Subject(pair.name, as_colour(degraded.samples), as_colour(clean.samples), warnings)


def centre_of(subject: Subject, side_px: int | None) -> Subject:
    """The centre of a photo, at most ``side_px`` high and wide; None: all of it. A photo that fits stays the same."""
    if side_px is None or max(subject.degraded.shape[:2]) <= side_px:
        return subject
    window = centred_window(subject.degraded.shape[:2], (side_px, side_px))
    clean = None if subject.clean is None else subject.clean[window]
    return replace(subject, degraded=subject.degraded[window].copy(), clean=clean)


def as_colour(samples: Samples) -> Samples:
    """Gray as three equal channels."""
    return samples if samples.shape[2] == 3 else samples.repeat(3, axis=2)
