"""What a file says about its picture besides the pixels, and how to keep it true when the picture is turned or changed.

- Kept: ICC profile, EXIF, XMP, resolution, and how the pixels were stored (lossless, TIFF compression, kind of alpha).
- Not kept, because it would be wrong afterwards: the orientation tag (the pixels are turned instead) and the EXIF
  thumbnail (it shows the old picture).
- Blocks travel as bytes. Nothing is re-interpreted, so maker notes and unknown tags survive.
"""

import math
import re
import struct
from dataclasses import dataclass, replace
from typing import Literal

from restorekit.core.image.formats.exif import exif_orientation, upright_exif

__all__ = ["AlphaKind", "FileRecord", "ImageFormat", "clean_dpi", "fit_record", "upright_record"]

ImageFormat = Literal["PNG", "JPEG", "TIFF", "WEBP"]
AlphaKind = Literal["unspecified", "assocalpha", "unassalpha"]

# A JPEG marker holds 65533 bytes after its length; the block's own signature comes off that.
_JPEG_LIMITS = {"exif": 65533 - len(b"Exif\0\0"), "xmp": 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")}
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[2-8]")


@dataclass(frozen=True)
class FileRecord:
    """Everything needed to write a restored picture the way its source was written."""

    name: str = ""
    """File name or path, for messages only."""
    format: ImageFormat = "PNG"
    """Format of the source, told from its content."""
    icc: bytes | None = None
    """ICC profile of the samples as they are now (sRGB after a CMYK conversion)."""
    exif: bytes | None = None
    """EXIF as a TIFF structure, without the ``Exif\\0\\0`` prefix; Orientation is 1, no thumbnail."""
    xmp: bytes | None = None
    """XMP packet; tiff:Orientation is 1 if the file had an orientation tag."""
    dpi: tuple[float, float] | None = None
    """Resolution (horizontal, vertical) of the upright picture, in pixels per inch."""
    lossless: bool = True
    """The source was stored without loss (PNG, TIFF, WebP with a VP8L chunk): WebP output then is too."""
    compression: Literal["none", "deflate"] = "deflate"
    """Compression of TIFF output; a source packed with another lossless codec becomes deflate."""
    alpha_kind: AlphaKind = "unassalpha"
    """ExtraSamples of TIFF; "assocalpha" means that the colours are stored multiplied by alpha."""


def upright_record(record: FileRecord, orientation: int | None) -> tuple[FileRecord, tuple[str, ...]]:
    """The record of the picture after it was turned upright: orientation 1 everywhere, sides swapped, no thumbnail.

    Args:
        record: As read, in the stored orientation.
        orientation: The file's orientation tag, 1 to 8; None if it has none: then the XMP packet, which other
            programs ignore in that case, is left alone.

    Returns:
        The new record, and warnings (an EXIF block too damaged to edit is dropped).
    """
    swapped = orientation is not None and orientation >= 5
    warnings: tuple[str, ...] = ()
    exif, xmp, dpi = record.exif, record.xmp, record.dpi
    if exif is not None:
        try:
            exif = upright_exif(exif, swap_sides=swapped)
        except (ValueError, struct.error):
            exif, warnings = None, ("the EXIF block is damaged: not carried over",)
    if xmp is not None and orientation is not None:
        xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    if dpi is not None and swapped:
        dpi = (dpi[1], dpi[0])
    return replace(record, exif=exif, xmp=xmp, dpi=dpi), warnings


def fit_record(record: FileRecord, target: ImageFormat, *, channels: int) -> tuple[FileRecord, tuple[str, ...]]:
    """The part of the record that a file of format ``target`` with 1 or 3 ``channels`` can hold, and what it cannot."""
    warnings: list[str] = []
    if record.icc is not None:
        stored = 3 if target == "WEBP" else channels  # WebP has no gray: three equal channels
        space = record.icc[16:20]
        wrong = space not in (b"RGB ", b"GRAY") or (space == b"GRAY" and stored == 3)
        if wrong or (space == b"RGB " and stored == 1 and target == "PNG"):
            kind = "gray" if stored == 1 else "RGB"
            said = space.decode().strip() if space.strip().isalnum() else "unnamed"
            warnings.append(f"{target} cannot hold this ICC profile ({said}) for {kind} samples: not written")
            record = replace(record, icc=None)
    if target == "JPEG":
        for field, limit in _JPEG_LIMITS.items():
            block = getattr(record, field)
            if block is not None and len(block) > limit:
                label = field.upper()
                warnings.append(f"JPEG cannot hold {label} of {len(block)} bytes (at most {limit}): not written")
                record = replace(record, exif=None) if field == "exif" else replace(record, xmp=None)
    if target == "PNG" and record.xmp is not None and not _is_utf8(record.xmp):
        warnings.append("PNG cannot hold XMP that is not UTF-8: not written")
        record = replace(record, xmp=None)
    if record.exif is not None and exif_orientation(record.exif) not in (None, 1):
        record = upright_record(record, orientation=1)[0]
    return record, tuple(warnings)


def clean_dpi(horizontal: float, vertical: float) -> tuple[float, float] | None:
    """A resolution in pixels per inch, or None if the numbers in the file make no sense."""
    pair = (float(horizontal), float(vertical))
    return pair if all(math.isfinite(value) and 0.5 < value < 65535 for value in pair) else None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
