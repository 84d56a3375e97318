"""JPEG: 8 bits, gray, RGB or CMYK. Pillow decodes, and reports truncated data, which OpenCV fills with gray instead."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageChops, JpegImagePlugin

from restorekit.core.image.convention import Samples
from restorekit.core.image.formats.exif import exif_orientation
from restorekit.core.image.formats.pixels import Decoded, band_copy, check_size, pillow_quiet
from restorekit.core.image.formats.profiles import cmyk_converter
from restorekit.core.image.formats.stream import Stream
from restorekit.core.image.metadata import FileRecord, clean_dpi
from restorekit.errors import UnsupportedImage

__all__ = ["DEFAULT_QUALITY", "decode_jpeg", "encode_jpeg"]

DEFAULT_QUALITY = 95
"""Quality of lossy output, 1 to 100. At 95 with 4:4:4 chroma the loss is below what restoration gains."""

_MAX_SIDE = 65500  # libjpeg's JPEG_MAX_DIMENSION
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_IPTC = 0x0404  # Photoshop image resource


def decode_jpeg(stream: Stream, name: str, *, max_megapixels: float) -> Decoded:
    """Read a JPEG; CMYK becomes sRGB with a warning. Raises what Pillow raises on damaged data."""
    with pillow_quiet():
        image = JpegImagePlugin.JpegImageFile(stream)
    check_size(*image.size, name, max_megapixels)
    info = image.info
    exif = info.get("exif")
    exif = exif.removeprefix(b"Exif\0\0") if exif else None
    notes = _left_behind(image)
    icc = info.get("icc_profile") or None
    if image.mode == "CMYK":
        convert, icc, note = cmyk_converter(icc)
        samples = band_copy(image, 3, convert=convert if "adobe" in info else lambda band: convert(_inverted(band)))
        notes = (*notes, note)
    elif image.mode in ("L", "RGB"):
        samples = band_copy(image, len(image.getbands()))
    else:
        raise UnsupportedImage(f"{name}: expected a gray, RGB or CMYK JPEG, got {image.mode}; convert it to RGB first")
    record = FileRecord(
        name=name,
        format="JPEG",
        icc=icc,
        exif=exif,
        xmp=info.get("xmp") or None,
        dpi=clean_dpi(*map(float, info["dpi"])) if "dpi" in info else None,
        lossless=False,
    )
    return Decoded(samples, record, orientation=exif_orientation(exif) if exif else None, warnings=notes)


def encode_jpeg(samples: Samples, record: FileRecord, *, quality: int | None) -> bytes:
    """8-bit gray or RGB samples as a JPEG with full-resolution chroma (4:4:4)."""
    height, width, channels = samples.shape
    if max(height, width) > _MAX_SIDE:
        raise UnsupportedImage(
            f"{record.name or 'output'}: expected at most {_MAX_SIDE} px a side for JPEG, got {width} x {height}; "
            "choose .png or .tif"
        )
    options: dict[str, Any] = {}
    if record.icc is not None:
        options["icc_profile"] = record.icc
    if record.exif is not None:
        options["exif"] = b"Exif\0\0" + record.exif
    if record.xmp is not None:
        options["xmp"] = record.xmp
    if record.dpi is not None:
        options["dpi"] = tuple(max(1, round(value)) for value in record.dpi)
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if channels == 1 else samples))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=DEFAULT_QUALITY if quality is None else quality, subsampling=0, **options)
    return buffer.getvalue()


def _inverted(band: Image.Image) -> Image.Image:
    """Pillow takes every CMYK JPEG for Adobe's, which stores inverted inks; without Adobe's marker it is not."""
    return ImageChops.invert(band)


def _left_behind(image: JpegImagePlugin.JpegImageFile) -> tuple[str, ...]:
    """Warnings for what the file holds besides the picture, ICC, EXIF and XMP."""
    notes = []
    segments: list[tuple[str, bytes]] = image.applist
    if any(kind == "APP2" and data.startswith(b"MPF\0") for kind, data in segments):
        notes.append("the file holds further pictures (MPF: depth, gain map or preview); only the main one is used")
    if any(kind == "APP1" and data.startswith(_EXTENDED_XMP) for kind, data in segments):
        notes.append("extended XMP is not carried over, the main XMP packet is")
    if _IPTC in image.info.get("photoshop", {}):
        notes.append("IPTC fields are not carried over")
    return tuple(notes)
