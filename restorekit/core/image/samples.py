"""Four photographs for trying things out, bundled with scikit-image: ``sample:coffee``, ``sample:coffee@256``.

- The files are found without importing scikit-image, which takes a second.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from restorekit.errors import DependencyError, UsageError, did_you_mean

__all__ = ["CROP_SIDE_PX", "SAMPLES", "Sample", "is_sample", "sample_crop", "sample_file_name", "sample_path"]

CROP_SIDE_PX = 256
"""Side of the crop that ``@256`` asks for, in px."""

_PREFIX = "sample:"


@dataclass(frozen=True)
class Sample:
    """One bundled photograph."""

    file: str
    """File name within scikit-image's data folder."""
    licence: str
    """As scikit-image documents it."""
    credit: str
    """Who made it."""
    shows: str
    """What it is good for."""
    crop_top: int
    """First row of the ``@256`` crop, in px."""
    crop_left: int
    """First column of the ``@256`` crop, in px."""


SAMPLES: Mapping[str, Sample] = MappingProxyType(
    {
        "coffee": Sample(
            "coffee.png", "CC0 1.0", "Rachel Michetti, Pikolo Espresso Bar", "gloss, saturated red", 70, 200
        ),
        "astronaut": Sample("astronaut.png", "public domain", "NASA (Eileen Collins)", "face, fabric", 10, 100),
        "chelsea": Sample("chelsea.png", "CC0 1.0", "Stéfan van der Walt", "fine fur, whiskers", 22, 105),
        "rocket": Sample("rocket.jpg", "public domain", "SpaceX", "dusk sky, bright lights, thin lattices", 165, 205),
    }
)
"""The bundled photographs by name."""


def is_sample(text: str) -> bool:
    """Whether ``text`` names a bundled photograph rather than a file.

    >>> is_sample("sample:coffee"), is_sample("coffee.png")
    (True, False)
    """
    return text.startswith(_PREFIX)


def sample_path(text: str) -> Path:
    """The file behind ``sample:NAME`` or ``sample:NAME@256`` (which names a crop of the same file).

    Raises:
        UsageError: No sample of that name, or another crop size.
        DependencyError: scikit-image's data folder is absent.
    """
    name, _ = _parse(text)
    package = importlib.util.find_spec("skimage")  # locates the package without running it
    for folder in (package.submodule_search_locations if package else None) or ():
        path = Path(folder) / "data" / SAMPLES[name].file
        if path.is_file():
            return path
    raise DependencyError(f"{text}: expected scikit-image's bundled photos, got none; install scikit-image")


def sample_crop(text: str) -> tuple[slice, slice]:
    """(rows, columns) of the picture that ``text`` means: everything, or the 256 x 256 window of that sample."""
    name, is_crop = _parse(text)
    if not is_crop:
        return slice(None), slice(None)
    top, left = SAMPLES[name].crop_top, SAMPLES[name].crop_left
    return slice(top, top + CROP_SIDE_PX), slice(left, left + CROP_SIDE_PX)


def sample_file_name(text: str) -> str:
    """A file name for output made from a sample.

    >>> sample_file_name("sample:rocket"), sample_file_name("sample:coffee@256")
    ('rocket.jpg', 'coffee_256.png')
    """
    name, is_crop = _parse(text)
    suffix = Path(SAMPLES[name].file).suffix
    return f"{name}_{CROP_SIDE_PX}{suffix}" if is_crop else f"{name}{suffix}"


def _parse(text: str) -> tuple[str, bool]:
    """(sample name, is a crop)."""
    name, at, size = text.removeprefix(_PREFIX).partition("@")
    if name not in SAMPLES:
        raise UsageError(f"sample: expected one of {', '.join(SAMPLES)}, got {name!r}" + did_you_mean(name, SAMPLES))
    if at and size != str(CROP_SIDE_PX):
        raise UsageError(f"{text}: expected sample:{name} or sample:{name}@{CROP_SIDE_PX}, got the size {size!r}")
    return name, bool(at)
