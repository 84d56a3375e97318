"""TIFF in: 1 to 16 bits, half to double floats; gray, RGB, palette, CMYK; strips or tiles; any byte order; BigTIFF.

- tifffile parses the directories; pixels are assembled here, segment by segment, because that alone notices every
  missing byte, and because tifffile decodes LZW, JPEG and others only with a further library.
"""

import io
import logging
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from restorekit.core.image.formats.exif import exif_from_tiff
from restorekit.core.image.formats.kinds import truncated
from restorekit.core.image.formats.pixels import Decoded, check_size
from restorekit.core.image.formats.stream import Stream
from restorekit.core.image.formats.tiff_codecs import (
    JPEG,
    PICTURE_CODECS,
    decode_picture,
    undo_predictor,
    unpack_bits,
    unpack_bytes,
)
from restorekit.core.image.formats.tiff_layout import BLACK_IS_ZERO, PALETTE, TiffLayout, tiff_layout
from restorekit.core.image.formats.tiff_samples import tiff_picture
from restorekit.core.image.metadata import AlphaKind, FileRecord, clean_dpi
from restorekit.errors import UnreadableImage, UnsupportedImage

__all__ = ["decode_tiff", "only_page"]

# tifffile logs what it finds odd; without a handler Python would print that to the user.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_ICC, _XMP, _ORIENTATION = 34675, 700, 274
_CODEC_TAGS = {266: 3, 292: 4, 293: 4, 530: 3}  # tag: type; what fax and JPEG segments need besides their size
_JPEG_TABLES = 347
_ALPHA_KINDS: dict[int, AlphaKind] = {0: "unspecified", 1: "assocalpha", 2: "unassalpha"}


def decode_tiff(stream: Stream, name: str, *, max_megapixels: float) -> Decoded:
    """Read the one picture of a TIFF file."""
    try:
        with tifffile.TiffFile(stream) as tiff:
            page = only_page(tiff, name)
            layout = tiff_layout(tiff, page, name)
            check_size(layout.width, layout.height, name, max_megapixels)
            stored = _assemble(page, stream, layout)
            record, orientation = _record(page, stream, name)
            colormap = np.asarray(page.colormap) if layout.photometric == PALETTE else None
    except TypeError as error:  # a damaged directory gives numbers of any type, such as a width that is a fraction
        raise ValueError("a tag of the wrong type") from error
    return tiff_picture(stored, layout, record, orientation=orientation, colormap=colormap)


def only_page(tiff: Any, name: str) -> Any:
    """The only full page; reduced copies (previews) do not count."""
    full = [page for page in (tiff.pages.get(index) for index in range(len(tiff.pages))) if not _is_preview(page)]
    if len(full) > 1:
        raise UnsupportedImage(
            f"{name}: expected one picture, got a TIFF of {len(full)} pages; split it first, for example with tiffsplit"
        )
    if not full:
        raise UnreadableImage(f"{name}: expected one picture, got a TIFF without any; export it again")
    return full[0]


def _is_preview(page: Any) -> bool:
    tag = page.tags.get(254)
    return tag is not None and bool(int(tag.value) & 1)


def _assemble(page: Any, stream: Stream, layout: TiffLayout) -> npt.NDArray[Any]:
    """All strips or tiles put together: (height, width, channels), native byte order."""
    height, width = layout.height, layout.width
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
    if rows < 1 or columns < 1:
        raise truncated(layout.name, "TIFF")
    down, across = math.ceil(height / rows), math.ceil(width / columns)
    planes = layout.channels if layout.is_planar else 1
    offsets, sizes = page.dataoffsets, page.databytecounts
    if min(len(offsets), len(sizes)) < planes * down * across:
        raise truncated(layout.name, "TIFF")
    file_size = stream.seek(0, io.SEEK_END)
    stored = np.empty((height, width, layout.channels), layout.dtype)
    for index in range(planes * down * across):
        plane, place = divmod(index, down * across)
        top, left = (place // across) * rows, (place % across) * columns
        if sizes[index] < 1 or offsets[index] + sizes[index] > file_size:
            raise truncated(layout.name, "TIFF")
        stream.seek(offsets[index])
        data = stream.read(sizes[index])
        tall = rows if page.is_tiled else min(rows, height - top)
        block = _segment(data, (tall, columns, layout.channels // planes), page, layout)
        target = stored[top : top + rows, left : left + columns]
        if layout.is_planar:
            target = target[..., plane : plane + 1]
        target[...] = block[: target.shape[0], : target.shape[1]]
    return stored


def _segment(data: bytes, shape: tuple[int, int, int], page: Any, layout: TiffLayout) -> npt.NDArray[Any]:
    """One strip or tile, decompressed: ``shape`` samples in native byte order."""
    height, width, channels = shape
    if layout.compression in PICTURE_CODECS:
        fields = _codec_fields(page, layout)
        picture = decode_picture(data, (width, height), layout.compression, channels, fields)
        return picture >> 7 if layout.bits == 1 else picture
    size = height * math.ceil(width * channels * layout.bits / 8)
    plain = unpack_bytes(data, size, layout.compression)
    if len(plain) < size:
        raise truncated(layout.name, "TIFF")
    if layout.bits < 8:
        return unpack_bits(plain, (height, width), layout.bits)[..., None]
    samples = np.frombuffer(plain, layout.dtype.newbyteorder(layout.order)).reshape(shape)
    if layout.predictor == 1:
        return samples
    # The byte planes of predictor 3 have the same order in every file, so only predictor 2 is byte-swapped.
    native = (
        samples.astype(layout.dtype) if layout.predictor == 2 else np.frombuffer(plain, layout.dtype).reshape(shape)
    )
    return undo_predictor(native, layout.predictor)


def _codec_fields(page: Any, layout: TiffLayout) -> tuple[tuple[int, int, int, bytes], ...]:
    """The tags that a fax or JPEG segment cannot be decoded without, in little-endian order."""
    # Pillow would invert white-is-zero segments itself; that is done once, for all codecs, in tiff_samples.
    photometric = layout.photometric if layout.channels > 1 else BLACK_IS_ZERO
    fields = [(262, 3, 1, np.array(photometric, "<u2").tobytes())]
    for tag, kind in _CODEC_TAGS.items():
        if tag in page.tags:
            numbers = np.atleast_1d(np.array(page.tags[tag].value)).astype("<u2" if kind == 3 else "<u4")
            fields.append((tag, kind, numbers.size, numbers.tobytes()))
    if _JPEG_TABLES in page.tags:
        tables = bytes(page.tags[_JPEG_TABLES].value)
        fields.append((_JPEG_TABLES, 7, len(tables), tables))
    return tuple(fields)


def _record(page: Any, stream: Stream, name: str) -> tuple[FileRecord, int | None]:
    """The file's metadata, and its orientation."""
    tags = page.tags
    dpi = None
    unit = tags[296].value if 296 in tags else 2
    if 282 in tags and 283 in tags and unit in (2, 3):
        scale = 1.0 if unit == 2 else 2.54
        across, down = (tags[tag].value[0] / (tags[tag].value[1] or math.inf) * scale for tag in (282, 283))
        dpi = clean_dpi(across, down)
    extra = page.extrasamples
    record = FileRecord(
        name=name,
        format="TIFF",
        icc=_block(tags, _ICC),
        exif=exif_from_tiff(stream),
        xmp=_block(tags, _XMP),
        dpi=dpi,
        compression="none" if int(page.compression) == 1 else "deflate",
        alpha_kind=_ALPHA_KINDS.get(int(extra[0]), "unspecified") if extra else "unspecified",
        lossless=int(page.compression) != JPEG,
    )
    orientation = int(tags[_ORIENTATION].value) if _ORIENTATION in tags else 0
    return record, orientation if orientation in range(1, 9) else None


def _block(tags: Any, tag: int) -> bytes | None:
    """A tag's value as bytes, or None if it is absent or empty."""
    value = tags[tag].value if tag in tags else None
    return bytes(value) or None if isinstance(value, (bytes, tuple)) else None
