"""Where a known set lies below a folder of data sets.

The set's own folder has its name or one of its aliases (``LOL``, ``LOLv1``, ``lol-v1``; case and punctuation do not
count) and one of its layouts, as ``restorekit data check`` wants it.
"""

from collections.abc import Iterator
from pathlib import Path

from restorekit.datasets.known_sets import DataSet, find_split
from restorekit.datasets.layout import SetFiles, locate_set, plain_name
from restorekit.datasets.reading import block_count
from restorekit.errors import UsageError

__all__ = ["absence", "find_copy", "find_named_copy", "shortfall"]


def find_copy(data: str | Path, text: str) -> SetFiles:
    """One split of a known set in the folder ``data``, or in the one of its folders that is named as the set.

    Args:
        data: the set's own folder, whatever its name, or a folder of data sets.
        text: ``NAME:SPLIT``; ``NAME`` for a set of one split.

    Raises:
        UsageError: no such set or split, or it is not there.
    """
    dataset, split = find_split(text)
    found = find_named_copy(data, text) or _see(Path(data), dataset, split)
    if found is None:
        raise UsageError(
            f"{text}: expected {dataset.title} on disk, got {absence(data, text)}; see 'restorekit data list'"
        )
    return found


def find_named_copy(data: str | Path, text: str) -> SetFiles | None:
    """As ``find_copy``, but only where a folder's name says that it is the set; None where there is none.

    Raises:
        UsageError: no such set or split.
    """
    dataset, split = find_split(text)
    for folder in _named_folders(Path(data), dataset):
        if found := _see(folder, dataset, split):
            return found
    itself = _see(Path(data), dataset, split)
    return itself if itself and "folder's name" in itself.recognised_by else None


def absence(data: str | Path, text: str) -> str:
    """What was looked for in vain, in words."""
    dataset, split = find_split(text)
    names = " or ".join({plain_name(name): name for name in (dataset.name, *dataset.aliases)}.values())
    return f"no folder {names} with its {split} split in {data}"


def shortfall(located: SetFiles) -> str:
    """That it has another number of pictures than the papers', in words; "" where it has theirs or that is not known.

    Raises:
        ImageError: a file of blocks cannot be read.
    """
    told = []
    for files in located.parts:
        count = sum(block_count(item.path) if item.path.suffix.lower() == ".mat" else 1 for item in files.main)
        if files.part.count and count not in files.part.count:
            told.append(f"{count} pictures where the papers have {' or '.join(map(str, files.part.count))}")
    return f"{located.dataset.title}: {', '.join(told)}" if told else ""


def _named_folders(data: Path, dataset: DataSet) -> Iterator[Path]:
    """In the order of the set's names."""
    folders = {plain_name(path.name): path for path in sorted(data.iterdir()) if path.is_dir()} if data.is_dir() else {}
    for name in dict.fromkeys(map(plain_name, (dataset.name, *dataset.aliases))):
        if name in folders:
            yield folders[name]


def _see(folder: Path, dataset: DataSet, split: str) -> SetFiles | None:
    """The split of the set that ``folder`` holds; None where it does not."""
    try:
        found = locate_set(folder, dataset.name).only(split)
    except UsageError:
        return None
    return found if found.parts and all(files.has_pairs for files in found.parts) else None
