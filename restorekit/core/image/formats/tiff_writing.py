"""TIFF out: 8 or 16 bits or 32-bit floats, gray or RGB, with or without alpha; ICC, XMP and EXIF in their own tags."""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from restorekit.core.image.convention import Samples
from restorekit.core.image.formats.exif import Entry, byte_order, graft_exif, read_exif
from restorekit.core.image.metadata import FileRecord
from restorekit.errors import UnsupportedImage

__all__ = ["encode_tiff"]

_ICC, _XMP = 34675, 700
_BYTE, _UNDEFINED = 1, 7
_MAX_BYTES = (1 << 32) - (64 << 20)  # classic TIFF has 32-bit offsets


def encode_tiff(samples: Samples, alpha: Samples | None, record: FileRecord) -> tuple[bytes, tuple[str, ...]]:
    """The file, and a warning if the EXIF block is too damaged to be taken apart.

    Integers are compressed with deflate and the horizontal predictor, floats with deflate, unless the source was an
    uncompressed TIFF.
    """
    height, width, channels = samples.shape
    if samples.nbytes + (0 if alpha is None else alpha.nbytes) > _MAX_BYTES:
        raise UnsupportedImage(
            f"{record.name or 'output'}: expected at most 4 GB of samples for TIFF, got {width} x {height}; "
            "choose .png or crop it"
        )
    stored: npt.NDArray[Any] = samples if channels == 3 else samples[..., 0]
    options: dict[str, Any] = {}
    if alpha is not None:
        stored = np.concatenate([samples, alpha[..., None]], axis=2)
        options = {"planarconfig": "contig", "extrasamples": [record.alpha_kind]}
    if record.compression == "deflate":
        options |= {"compression": "zlib", "predictor": samples.dtype != np.float32}
    if record.dpi is not None:
        options |= {"resolution": record.dpi, "resolutionunit": "INCH"}
    exif, notes = _usable(record.exif)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        stored,
        photometric="rgb" if channels == 3 else "minisblack",
        byteorder="<" if exif is None else byte_order(exif),
        metadata=None,
        software=False,
        **options,
    )
    extra = []
    if record.icc is not None:
        extra.append(Entry(_ICC, _UNDEFINED, len(record.icc), record.icc))
    if record.xmp is not None:
        extra.append(Entry(_XMP, _BYTE, len(record.xmp), record.xmp))
    if exif is not None or extra:
        graft_exif(buffer, exif, extra=tuple(extra))
    return buffer.getvalue(), notes


def _usable(exif: bytes | None) -> tuple[bytes | None, tuple[str, ...]]:
    """The block, or a warning instead of it."""
    if exif is None:
        return None, ()
    try:
        read_exif(exif)
    except (ValueError, struct.error):
        return None, ("the EXIF block is damaged: not written",)
    return exif, ()
