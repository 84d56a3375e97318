"""Every error restorekit raises on purpose, drawn as a tree.

    RestorekitError                 base: catch this to catch all of them
    ├── UsageError                  the request itself is wrong              (command line: exit code 2)
    │   ├── SpecError               a degradation, model or metric text cannot be read
    │   ├── RecipeError             a recipe has unknown keys or bad values (all problems at once)
    │   ├── ModelError              no model, method or weight file of that name
    │   └── ProtocolError           numbers of different protocols would be mixed
    ├── ImageError                  one image file cannot be used            (command line: exit code 1)
    │   ├── UnreadableImage         corrupt, truncated, empty, not an image
    │   ├── UnsupportedImage        an image, but of a kind restorekit does not read
    │   └── OversizedImage          more pixels than the limit allows
    ├── DependencyError             an optional library or a backbone's weights are absent
    └── MemoryLimitError            does not fit in memory even with the smallest tiles

A message reads ``where: expected what, got what; what to do``.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "DependencyError",
    "ImageError",
    "MemoryLimitError",
    "ModelError",
    "OversizedImage",
    "ProtocolError",
    "RecipeError",
    "RestorekitError",
    "SpecError",
    "UnreadableImage",
    "UnsupportedImage",
    "UsageError",
    "did_you_mean",
]


class RestorekitError(Exception):
    """Base of all errors that restorekit raises on purpose."""


class UsageError(RestorekitError):
    """The request itself is wrong; nothing was done."""


class SpecError(UsageError):
    """A degradation, model or metric text cannot be read."""


class RecipeError(UsageError):
    """A recipe file has unknown keys or values outside their range."""


class ModelError(UsageError):
    """No model, method or weight file of that name."""


class ProtocolError(UsageError):
    """Numbers measured under different protocols would be mixed."""


class ImageError(RestorekitError):
    """One image cannot be used; the others can."""


class UnreadableImage(ImageError):
    """The file is corrupt, truncated, empty or no image at all."""


class UnsupportedImage(ImageError):
    """The file is an image of a kind that restorekit does not read or write."""


class OversizedImage(ImageError):
    """The image has more pixels than the limit allows."""


class DependencyError(RestorekitError):
    """An optional library, or the weights it needs, are absent."""


class MemoryLimitError(RestorekitError):
    """The work does not fit in memory even with the smallest tiles."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A suffix for a message: the closest valid names, or nothing.

    >>> did_you_mean("psnrr", ["psnr", "ssim"])
    '; did you mean psnr?'
    >>> did_you_mean("xyz", ["psnr", "ssim"])
    ''
    """
    close = difflib.get_close_matches(name, list(choices), n=2)
    return f"; did you mean {' or '.join(close)}?" if close else ""
