"""Results that somebody made of a known set, beside the set's clean pictures: paired by the names of the inputs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from restorekit.core.image.convention import Samples
from restorekit.core.image.pairs import MOST_LISTED, list_images
from restorekit.datasets.layout import SetFiles
from restorekit.datasets.set_pairs import SetEntry, list_entries, read_entries
from restorekit.errors import UsageError

__all__ = ["results_with_clean"]


def results_with_clean(located: SetFiles, results: str | Path) -> Iterator[tuple[str, Path, Samples]]:
    """Name of the input, file of the result, and clean picture, for every pair of the set.

    A result is named as its input, apart from the suffix: by its path below the set's folder or below any folder
    within, as ``restorekit restore`` names it. Of a file of blocks: by the block's index, ``0003_12``.

    Args:
        located: the set, with pairs.
        results: folder of restored pictures.

    Raises:
        UsageError: results and inputs do not match one to one; all that lack their partner are listed.
        ImageError: a picture of the set cannot be read.
    """
    entries = list_entries(located)
    files = {_stem(item.name): item.path for item in list_images([results])}
    names = _named_as(entries, files)
    missing = [f"{name}: no result" for name in names if name not in files]
    strange = [f"{name}: no input of that name" for name in files if name not in names]
    if problems := [*missing, *strange]:
        more = [f"and {len(problems) - MOST_LISTED} more"] if len(problems) > MOST_LISTED else []
        expected = f"{results}: expected one result for each input of {located.dataset.title}"
        got = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        raise UsageError("\n  ".join([f"{expected}, got {got}", *problems[:MOST_LISTED], *more]))
    paths = [files[name] for name in names]
    return ((pair.name, path, pair.clean) for pair, path in zip(read_entries(entries), paths, strict=True))


def _named_as(entries: Sequence[SetEntry], files: Mapping[str, Path]) -> dict[str, SetEntry]:
    """The inputs by name below the folder at which most results are found."""
    deepest = max(len(PurePosixPath(entry.name).parts) for entry in entries)
    views = [{_below(entry.name, cut): entry for entry in entries} for cut in range(deepest)]
    return max((view for view in views if len(view) == len(entries)), key=lambda view: len(view.keys() & files.keys()))


def _below(name: str, cut: int) -> str:
    """Without the suffix and the first ``cut`` folders; the file's own name stays."""
    parts = PurePosixPath(_stem(name)).parts
    return "/".join(parts[min(cut, len(parts) - 1) :])


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
