"""One strip or tile of a TIFF file, decompressed.

TIFF 6.0, and Adobe's technical notes 2 (JPEG) and 3 (floating point predictor).

- No and deflate compression need nothing but Python. Every other codec is libtiff's: the segment is wrapped as a tiny
  TIFF file of its own that Pillow opens. A lossless codec yields bytes whatever the samples are, so the wrapper
  calls them 8-bit gray: depth, planes and predictor are undone here, identically for all codecs.
"""

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, TiffImagePlugin

from restorekit.core.image.formats.pixels import pillow_quiet

__all__ = [
    "COMPRESSIONS",
    "FAX",
    "JPEG",
    "PICTURE_CODECS",
    "PREDICTED_CODECS",
    "decode_picture",
    "undo_predictor",
    "unpack_bits",
    "unpack_bytes",
]

FAX, JPEG = (2, 3, 4), 7
_NONE, _LZW, _PACKBITS, _LZMA, _ZSTD = 1, 5, 32773, 34925, 50000
_DEFLATE = (8, 32946)

PICTURE_CODECS = (*FAX, JPEG)
"""Codecs that know about pixels; the others know bytes."""

PREDICTED_CODECS = (_LZW, *_DEFLATE, _LZMA, _ZSTD)
"""Codecs that heed the predictor tag; libtiff ignores it with any other, and so do its writers."""

COMPRESSIONS: Mapping[int, str] = {
    _NONE: "none",
    **dict.fromkeys(FAX, "CCITT fax"),
    _LZW: "LZW",
    JPEG: "JPEG",
    **dict.fromkeys(_DEFLATE, "deflate"),
    _PACKBITS: "PackBits",
    _LZMA: "LZMA",
    _ZSTD: "Zstandard",
}
"""Names of the compressions that can be read, by the value of tag 259."""

Field = tuple[int, int, int, bytes]  # tag, type, count, value in little-endian order


def unpack_bytes(data: bytes, size: int, compression: int) -> bytes:
    """``size`` decompressed bytes, fewer if ``data`` ends early."""
    if compression == _NONE:
        return data[:size]
    if compression in _DEFLATE:
        return zlib.decompressobj().decompress(data, size)
    return _open(data, size, 1, compression, (_short(262, 1),)).tobytes()


def decode_picture(
    data: bytes, size: tuple[int, int], compression: int, channels: int, fields: tuple[Field, ...]
) -> npt.NDArray[np.uint8]:
    """A JPEG or fax segment of (width, height) as (height, width, channels); ``fields``: tags that its codec needs."""
    width, height = size
    if compression == JPEG and b"\xff\xd9" not in data[-16:]:  # libtiff makes up what is missing
        raise ValueError("a JPEG segment without its end marker")
    image = _open(data, width, height, compression, fields, bits=1 if compression in FAX else 8, channels=channels)
    if image.mode == "1":
        image = image.convert("L")
    picture = np.asarray(image, np.uint8).reshape(height, width, -1)
    if picture.shape[2] != channels:
        raise ValueError(f"a segment of {picture.shape[2]} channels where {channels} are due")
    return picture


def unpack_bits(data: bytes, shape: tuple[int, int], bits: int) -> npt.NDArray[np.uint8]:
    """Rows of 1-, 2- or 4-bit samples, each row padded to whole bytes, as (height, width) without scaling."""
    height, width = shape
    packed = np.frombuffer(data, np.uint8).reshape(height, -1)
    per_byte = 8 // bits
    shifts = np.arange(per_byte - 1, -1, -1, dtype=np.uint8) * bits
    samples = (packed[..., None] >> shifts) & np.uint8(2**bits - 1)
    return samples.reshape(height, -1)[:, :width]


def undo_predictor(samples: npt.NDArray[Any], predictor: int) -> npt.NDArray[Any]:
    """(height, width, channels) as decompressed, in native byte order, to the samples before prediction.

    Predictor 2 stores differences to the left neighbour, modulo 2^bits; predictor 3 splits floats into planes of bytes,
    most significant first, and stores the differences of those.
    """
    if predictor == 1:
        return samples
    if predictor == 2:
        whole = samples.view(f"u{samples.dtype.itemsize}")
        np.cumsum(whole, axis=1, dtype=whole.dtype, out=whole)
        return samples
    height, width, channels = samples.shape
    size = samples.dtype.itemsize
    planes = samples.view(np.uint8).reshape(height, size * width, channels)
    planes = np.cumsum(planes, axis=1, dtype=np.uint8).reshape(height, size, width * channels)
    floats = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")
    return floats.reshape(height, width, channels).astype(samples.dtype)


class _Segment(TiffImagePlugin.TiffImageFile):
    """A wrapped segment. The pixel limit was checked for the whole picture: Pillow's own does not apply."""

    def load_prepare(self) -> None:
        ImageFile.ImageFile.load_prepare(self)


def _open(
    data: bytes,
    width: int,
    height: int,
    compression: int,
    fields: tuple[Field, ...],
    *,
    bits: int = 8,
    channels: int = 1,
) -> Image.Image:
    """The segment as a one-strip TIFF file, loaded by Pillow."""
    own = (
        _long(256, width),
        _long(257, height),
        (258, 3, channels, struct.pack("<H", bits) * channels),
        _short(259, compression),
        _long(273, 8),
        _short(277, channels),
        _long(278, height),
        _long(279, len(data)),
    )
    entries = sorted((*own, *fields))
    start = 8 + len(data) + len(data) % 2
    values_at = start + 2 + 12 * len(entries) + 4
    table, values = b"", b""
    for tag, kind, count, value in entries:
        inline = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", values_at + len(values))
        table += struct.pack("<HHI", tag, kind, count) + inline
        values += b"" if len(value) <= 4 else value + b"\0" * (len(value) % 2)
    head = struct.pack("<2sHI", b"II", 42, start)
    padding = b"\0" * (len(data) % 2)
    wrapped = b"".join((head, data, padding, struct.pack("<H", len(entries)), table, b"\0\0\0\0", values))
    with pillow_quiet():
        image = _Segment(io.BytesIO(wrapped))
    image.load()
    return image


def _short(tag: int, value: int) -> Field:
    return tag, 3, 1, struct.pack("<H", value)


def _long(tag: int, value: int) -> Field:
    return tag, 4, 1, struct.pack("<I", value)
