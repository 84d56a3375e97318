"""Size and depth of an image file without decoding it: what ``read_image`` would give, from a few kilobytes.

Damage that only decoding finds stays unnoticed here; ``read_image`` reports it.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import JpegImagePlugin, WebPImagePlugin

from restorekit.core.image.files import DAMAGE
from restorekit.core.image.formats.exif import exif_orientation
from restorekit.core.image.formats.kinds import HEAD_BYTES, sniff, truncated
from restorekit.core.image.formats.pixels import pillow_quiet
from restorekit.core.image.formats.stream import Stream
from restorekit.core.image.formats.tiff_layout import PALETTE, tiff_layout
from restorekit.core.image.formats.tiff_reading import only_page
from restorekit.core.image.formats.tiff_samples import palette_colours
from restorekit.core.image.metadata import ImageFormat
from restorekit.core.image.samples import is_sample, sample_crop, sample_path
from restorekit.errors import UnreadableImage

__all__ = ["ImageHeader", "read_header"]

_TIFF_ORIENTATION = 274


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of its picture."""

    width: int
    """Columns of the upright picture, in px."""
    height: int
    """Rows of the upright picture, in px."""
    depth: str
    """Type of a sample as ``read_image`` gives it: ``uint8``, ``uint16`` or ``float32``."""


def read_header(path: str | Path) -> ImageHeader:
    """Size and depth of an image file or of a bundled sample.

    Raises:
        UnreadableImage: absent, empty, no image, or its header is damaged.
        UnsupportedImage: an image of a kind that is not read.
    """
    text = str(path)
    if is_sample(text):
        whole = read_header(sample_path(text))
        rows, columns = sample_crop(text)
        height, width = len(range(whole.height)[rows]), len(range(whole.width)[columns])
        return ImageHeader(width, height, whole.depth)
    try:
        with Path(path).open("rb") as stream:
            return _read(stream, text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreadableImage(f"{text}: expected an image file, got an error: {reason}; check the path") from error


def _read(stream: Stream, name: str) -> ImageHeader:
    kind = sniff(stream.read(HEAD_BYTES), name)
    stream.seek(0)
    try:
        width, height, depth, orientation = _READERS[kind](stream, name)
    except (*DAMAGE, TypeError) as error:
        raise UnreadableImage(
            f"{name}: expected a whole {kind} file, got one whose header cannot be read; copy or download it again"
        ) from error
    return ImageHeader(height, width, depth) if orientation >= 5 else ImageHeader(width, height, depth)


_Header = tuple[int, int, str, int]
"""(width and height as stored, depth, EXIF orientation)."""


def _png(stream: Stream, name: str) -> _Header:
    """Steps from chunk to chunk: an orientation may stand behind the picture."""
    stream.seek(8)
    width = height = bits = 0
    exif = b""
    while len(head := stream.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"IHDR":
            width, height, bits = struct.unpack_from(">IIB", stream.read(size))
            stream.seek(4, 1)
        elif kind == b"eXIf":
            exif = exif or stream.read(size).removeprefix(b"Exif\0\0")
            stream.seek(4, 1)
        elif kind == b"IEND":
            return width, height, "uint16" if bits == 16 else "uint8", _turn(exif)
        else:
            stream.seek(size + 4, 1)
    raise truncated(name, "PNG")


def _jpeg(stream: Stream, name: str) -> _Header:
    with pillow_quiet():
        image = JpegImagePlugin.JpegImageFile(stream, name)
    return *image.size, "uint8", _turn(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))


def _webp(stream: Stream, name: str) -> _Header:
    with pillow_quiet():
        image = WebPImagePlugin.WebPImageFile(stream, name)
    return *image.size, "uint8", _turn(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))


def _tiff(stream: Stream, name: str) -> _Header:
    with tifffile.TiffFile(stream) as tiff:
        page = only_page(tiff, name)
        layout = tiff_layout(tiff, page, name)
        tag = page.tags.get(_TIFF_ORIENTATION)
        orientation = int(tag.value) if tag is not None else 1
        depth = "float32" if layout.kind == "f" else f"uint{max(layout.bits, 8)}"
        if layout.photometric == PALETTE:
            depth = palette_colours(np.asarray(page.colormap)).dtype.name
    return layout.width, layout.height, depth, orientation if orientation <= 8 else 1


_READERS: Mapping[ImageFormat, Callable[[Stream, str], _Header]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "TIFF": _tiff,
    "WEBP": _webp,
}


def _turn(exif: bytes) -> int:
    return (exif_orientation(exif) if exif else None) or 1
