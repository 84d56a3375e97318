"""WebP: 8 bits, RGB, with or without alpha. RIFF chunks are read here, pixels by OpenCV, and Pillow writes.

- Pillow's decoder keeps four copies of the picture (1.5 GB for 100 megapixels), OpenCV's two; the pixels are the same.
"""

import io
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from restorekit.core.image.convention import Samples
from restorekit.core.image.formats.exif import exif_orientation
from restorekit.core.image.formats.jpeg import DEFAULT_QUALITY
from restorekit.core.image.formats.kinds import truncated
from restorekit.core.image.formats.pixels import Decoded, check_size, reverse_channels
from restorekit.core.image.formats.stream import Stream
from restorekit.core.image.metadata import FileRecord
from restorekit.errors import UnreadableImage, UnsupportedImage

__all__ = ["decode_webp", "encode_webp"]

_MAX_SIDE = 16383
_KEPT = {b"VP8X", b"ICCP", b"EXIF", b"XMP "}
_PIXEL_CHUNKS = {b"VP8 ", b"VP8L"}


def decode_webp(stream: Stream, name: str, *, max_megapixels: float) -> Decoded:
    """Read a still WebP."""
    chunks, frames = _scan(stream, name)
    if frames > 1:
        raise UnsupportedImage(
            f"{name}: expected one picture, got an animated WebP of {frames} frames; extract the frames as PNG first"
        )
    width, height = _size(chunks)
    check_size(width, height, name, max_megapixels)
    stream.seek(0)
    stored: npt.NDArray[Any] | None = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 3 or stored.shape[:2] != (height, width):
        raise UnreadableImage(f"{name}: expected a WebP image, got damaged data; copy or download it again")
    alpha = None
    if stored.shape[2] == 4:
        alpha = np.ascontiguousarray(stored[..., 3])
        stored = np.ascontiguousarray(stored[..., :3])
    reverse_channels(stored)
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0") or None
    record = FileRecord(
        name=name,
        format="WEBP",
        icc=chunks.get(b"ICCP") or None,
        exif=exif,
        xmp=chunks.get(b"XMP ") or None,
        lossless=b"VP8L" in chunks,
    )
    return Decoded(stored, record, alpha=alpha, orientation=exif_orientation(exif) if exif else None)


def encode_webp(samples: Samples, alpha: Samples | None, record: FileRecord, *, quality: int | None) -> bytes:
    """8-bit samples as WebP: lossless if the source was and no ``quality`` is asked for; gray is stored as RGB."""
    height, width, channels = samples.shape
    if max(height, width) > _MAX_SIDE:
        raise UnsupportedImage(
            f"{record.name or 'output'}: expected at most {_MAX_SIDE} px a side for WebP, got {width} x {height}; "
            "choose .png, .tif or .jpg"
        )
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if channels == 1 else samples)).convert("RGB")
    if alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    options: dict[str, Any] = {"lossless": True} if quality is None and record.lossless else {}
    if not options:
        options["quality"] = DEFAULT_QUALITY if quality is None else quality
    if record.icc is not None:
        options["icc_profile"] = record.icc
    if record.exif is not None:
        options["exif"] = record.exif
    if record.xmp is not None:
        options["xmp"] = record.xmp
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", exact=True, **options)  # exact: colours under transparent pixels are kept
    return buffer.getvalue()


def _scan(stream: Stream, name: str) -> tuple[dict[bytes, bytes], int]:
    """Chunks by name (of picture data only the first 10 bytes), and the number of animation frames."""
    stream.seek(0, io.SEEK_END)
    length = stream.tell()
    stream.seek(4)
    end = 8 + struct.unpack("<I", stream.read(4))[0]
    if end > length:
        raise truncated(name, "WebP")
    chunks: dict[bytes, bytes] = {}
    frames = 0
    at = 12
    while at + 8 <= end:
        stream.seek(at)
        kind, size = struct.unpack("<4sI", stream.read(8))
        if at + 8 + size > end:
            raise truncated(name, "WebP")
        frames += kind == b"ANMF"
        if kind in _KEPT:
            chunks.setdefault(kind, stream.read(size))
        elif kind in _PIXEL_CHUNKS:
            chunks.setdefault(kind, stream.read(min(size, 10)))
        at += 8 + size + size % 2
    return chunks, frames


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """(width, height) from the extended, lossless or lossy header (WebP container specification)."""
    if len(extended := chunks.get(b"VP8X", b"")) >= 10:
        return int.from_bytes(extended[4:7], "little") + 1, int.from_bytes(extended[7:10], "little") + 1
    if len(lossless := chunks.get(b"VP8L", b"")) >= 5:
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if len(lossy := chunks.get(b"VP8 ", b"")) >= 10:
        width, height = struct.unpack_from("<HH", lossy, 6)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0
