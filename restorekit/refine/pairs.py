"""Dual-pixel pairs in folders: which left and right views are of one scene, and which sharp photo is theirs.

A sensor with two photodiodes under each lens takes two photos at once, from the left and from the right half of the
aperture; what is out of focus lies elsewhere in each. DPDD (Abuolaim and Brown 2020, arXiv:2005.00305) is made of them.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from restorekit.core.image.pairs import MOST_LISTED
from restorekit.errors import UsageError

__all__ = ["LAYOUTS", "Scene", "left_name", "match_scenes"]

LAYOUTS = {
    "train": (("inputL", "inputR", "target"), ("train_l/source", "train_r/source", "train_c/target")),
    "restore": (("inputL", "inputR"), ("test_l/source", "test_r/source")),
}
"""Folders of left views, of right views and, to train on, of sharp photos: as Restormer keeps them, and as released."""

Scene = tuple[int, ...]
"""Numbers of the files of one scene: left view, right view and, to train on, the sharp photo."""


def match_scenes(names: Sequence[str], purpose: str, where: str) -> list[Scene]:
    """Which files belong together, in sorted order of the left views' names.

    Files of one scene have the name of the left view; in a folder that has none of those names, as that of the sharp
    photos in DPDD's release, they have its place in sorted order.

    Args:
        names: paths relative to the folder, with ``/``; those in other folders than ``LAYOUTS`` has are not looked at.
        purpose: a key of ``LAYOUTS``.
        where: for messages.

    Raises:
        UsageError: a folder is missing, or files lack their partners; all of them are named.
    """
    found = [{folder: _inside(names, folder) for folder in folders} for folders in LAYOUTS[purpose]]
    sides = next((layout for layout in found if any(layout.values())), found[0])
    folders = list(sides)
    if empty := [folder for folder, files in sides.items() if not files]:
        expected = ", or ".join(" and ".join(layout) for layout in found)
        raise UsageError(
            f"{where}: expected dual-pixel pairs in {expected}, got no photo in {', '.join(empty)}; rename or link them"
        )
    problems = []
    for folder in folders[1:]:
        left, other = (set(sides[side]) for side in (folders[0], folder))
        if left & other or len(left) != len(other):
            problems += [f"{stem} not in {folder}" for stem in sorted(left - other)]
            problems += [f"{stem} not in {folders[0]}" for stem in sorted(other - left)]
    if problems:
        more = f" and {len(problems) - MOST_LISTED} more" if len(problems) > MOST_LISTED else ""
        listed = ", ".join(problems[:MOST_LISTED]) + more
        raise UsageError(f"{where}: expected each scene in {', '.join(folders)}, got {listed}; add or remove files")
    return list(zip(*([files[stem] for stem in sorted(files)] for files in sides.values()), strict=True))


def left_name(path: str) -> str:
    """The name of a left view within its folder.

    >>> left_name("inputL/night/1.png"), left_name("test_l/source/1.png")
    ('night/1.png', '1.png')
    """
    whole = PurePosixPath(path)
    folders = [first for layouts in LAYOUTS.values() for first, *_ in layouts]
    return next(whole.relative_to(folder).as_posix() for folder in folders if whole.is_relative_to(folder))


def _inside(names: Sequence[str], folder: str) -> dict[str, int]:
    """Name without folder and suffix to number, of the files in a folder."""
    paths = {number: PurePosixPath(name) for number, name in enumerate(names)}
    return {
        path.relative_to(folder).with_suffix("").as_posix(): number
        for number, path in paths.items()
        if path.is_relative_to(folder)
    }
