"""Where the photos of a comparison come from: files, pairs of folders, or a known data set.

Whatever names and headers give away is refused here, before the first photo is decoded.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from restorekit.comparison.subjects import Subject, as_colour, degraded_subjects, paired_subjects
from restorekit.core.image.pairs import ensure_alike, evenly_spaced, list_alike, pair_images
from restorekit.datasets.copies import find_copy
from restorekit.datasets.layout import SetFiles
from restorekit.datasets.set_pairs import clean_images, ensure_sound, list_entries, read_entries
from restorekit.errors import UsageError

__all__ = ["find_subjects"]


def find_subjects(
    paths: Sequence[str | Path],
    *,
    clean: str | Path | None = None,
    degrade: str | None = None,
    dataset: str | None = None,
    seed: int = 0,
    photos: int | None = None,
) -> Iterator[Subject]:
    """The photos that are compared, read one by one as they are asked for.

    Args:
        paths: photos and folders; beside ``clean`` or ``dataset``, just one.
        clean: the reference, or a folder of references with the same names.
        degrade: a spec; the photos, or the clean pictures of ``dataset``, are then degraded here.
        dataset: a known set, ``NAME:SPLIT``, that lies in the path.
        seed: of that degradation.
        photos: at most so many, evenly spaced; None: all.

    Raises:
        UsageError: ``clean`` beside one of the others; several paths where one is wanted; nothing is there; names that
            do not pair, or headers that do not fit.
        ImageError: a file of blocks cannot be read.
    """
    if clean is not None and (degrade is not None or dataset is not None):
        other = "a degradation" if dataset is None else "a known data set"
        raise UsageError(f"compare: expected either clean references or {other}, got both; drop one")
    if len(paths) != 1 and (clean is not None or dataset is not None):
        what = "file or folder beside clean references" if dataset is None else f"folder that holds {dataset}"
        raise UsageError(f"compare: expected one {what}, got {len(paths)}")
    if dataset is not None:
        return _set_subjects(find_copy(paths[0], dataset), degrade, seed, photos)
    if clean is not None:
        return paired_subjects(evenly_spaced(pair_images(paths[0], clean), photos))
    return degraded_subjects(evenly_spaced(list_alike(paths), photos), degrade, seed=seed)


def _set_subjects(located: SetFiles, degrade: str | None, seed: int, photos: int | None) -> Iterator[Subject]:
    if degrade is not None:
        images = clean_images(located)
        ensure_alike([(image.name, [image.path]) for image in images])
        return degraded_subjects(evenly_spaced(images, photos), degrade, seed=seed)
    entries = list_entries(located)
    if len(entries[0].views) > 1:
        raise UsageError(
            f"{located.folder}: expected one degraded picture for each clean one, got {len(entries[0].views)} views of "
            f"it in {located.dataset.title}; restorers take one photo"
        )
    ensure_sound(entries)
    read = read_entries(evenly_spaced(entries, photos))
    return (Subject(pair.name, as_colour(pair.degraded), as_colour(pair.clean)) for pair in read)
