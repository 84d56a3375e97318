"""The photos of a folder, decoded once: one memory-mapped file of uint8 pixels that every process and worker shares.

- The file lies in the cache and is named after what it was made of (names, sizes and times of the photos, scales), so a
  changed folder makes a new one. It is written beside its place and moved there when complete.
- Layout: the pixels of every view (height, width, 3) one after the other, a JSON index, its length in 8 bytes.
"""

import hashlib
import json
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from restorekit.core.atomic import replacing
from restorekit.core.image.convention import convert_depth
from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import NamedInput, list_images
from restorekit.core.image.samples import is_sample, sample_path
from restorekit.errors import ImageError, RestorekitError, UsageError

__all__ = ["PhotoPool", "View", "cache_folder", "open_pool"]

Pixels = npt.NDArray[np.uint8]

LAYOUT = 1
"""Version of the file layout; a new one makes new files."""


@dataclass(frozen=True)
class View:
    """One photo at one scale."""

    name: str
    scale: float
    height: int
    width: int
    offset: int
    """Of the first byte in the file."""


class PhotoPool:
    """Views on a pool file. Cheap to pickle: the file is mapped on first use, in whichever process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.views = _read_index(path)
        self._bytes: Pixels | None = None

    def __len__(self) -> int:
        return len(self.views)

    def pixels(self, index: int) -> Pixels:
        """(height, width, 3) RGB of one view, read-only, straight from the file."""
        if self._bytes is None:
            self._bytes = np.memmap(self.path, dtype=np.uint8, mode="r")
        view = self.views[index]
        size = view.height * view.width * 3
        return self._bytes[view.offset : view.offset + size].reshape(view.height, view.width, 3)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bytes": None}


def open_pool(
    folder: str | Path,
    scales: Sequence[float] = (1.0,),
    *,
    cache: Path | None = None,
    on_note: Callable[[str], None] | None = None,
) -> PhotoPool:
    """The pool of a folder of photos, from the cache if it is there.

    Args:
        folder: searched with its subfolders; or one photo, or ``sample:coffee``.
        scales: each photo is kept at these factors (0, 1], area-averaged.
        cache: where pool files are kept; ``cache_folder()`` when None. As large as the photos: 3 bytes per pixel.
        on_note: told once when photos are decoded.

    Raises:
        UsageError: no such folder, no images in it, or images that cannot be read; all of them are named.
        RestorekitError: the cache cannot be written.
    """
    inputs = list_images([folder])
    path = (cache or cache_folder()) / f"pool-{_key(inputs, scales)}.bin"
    try:
        return PhotoPool(path)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        pass  # absent, or not written by us
    if on_note:
        on_note(f"decoding {len(inputs)} photos of {folder} into {path}")
    _write(path, _views(inputs, scales))
    return PhotoPool(path)


def cache_folder() -> Path:
    """Where this system keeps what can be made again: ``~/.cache/restorekit`` on Linux."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "restorekit"


def _key(inputs: Sequence[NamedInput], scales: Sequence[float]) -> str:
    """Changes with any photo's path, size or time of change, with the scales, and with the layout."""
    rows = []
    for item in inputs:
        real = sample_path(str(item.path)) if is_sample(str(item.path)) else item.path.resolve()
        status = real.stat()
        rows.append([str(item.path.absolute()), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps([LAYOUT, list(scales), rows]).encode()).hexdigest()[:16]


def _read_index(path: Path) -> list[View]:
    with path.open("rb") as stream:
        stream.seek(-8, os.SEEK_END)
        (length,) = struct.unpack("<Q", stream.read(8))
        stream.seek(-8 - length, os.SEEK_END)
        return [View(**row) for row in json.loads(stream.read(length))]


def _views(inputs: Sequence[NamedInput], scales: Sequence[float]) -> Iterator[tuple[str, float, Pixels]]:
    """Every photo at every scale, in the order of the list; some are decoded ahead in threads."""
    problems = []
    ahead = 2 * (os.cpu_count() or 1)
    with ThreadPoolExecutor() as threads:
        for start in range(0, len(inputs), ahead):
            chunk = inputs[start : start + ahead]
            for item, decoded in zip(chunk, threads.map(_decode, chunk), strict=True):
                if isinstance(decoded, ImageError):
                    problems.append(str(decoded))
                elif not problems:
                    yield from ((item.name, scale, _scaled(decoded, scale)) for scale in scales)
    if problems:
        raise UsageError(
            f"photos: expected readable images, got {len(problems)} that are not; remove or replace them:\n  "
            + "\n  ".join(problems)
        )


def _decode(item: NamedInput) -> Pixels | ImageError:
    """RGB in 8 bits, alpha left out; a problem is returned, so that all of them are told at once."""
    try:
        samples = convert_depth(read_image(item.path).samples, np.uint8)
    except ImageError as error:
        return error
    return np.ascontiguousarray(np.broadcast_to(samples, (*samples.shape[:2], 3)), dtype=np.uint8)


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    if scale == 1.0:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _write(path: Path, views: Iterable[tuple[str, float, Pixels]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside, beside.open("xb") as stream:
            index = []
            for name, scale, pixels in views:
                index.append(asdict(View(name, scale, pixels.shape[0], pixels.shape[1], stream.tell())))
                stream.write(np.ascontiguousarray(pixels).data)
            text = json.dumps(index).encode()
            stream.write(text + struct.pack("<Q", len(text)))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RestorekitError(
            f"{path}: the cache of decoded photos could not be written: {reason}; choose a folder with room by --cache"
        ) from error
