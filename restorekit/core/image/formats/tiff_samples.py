"""From the numbers of a TIFF page to samples: scale, inversion, palette, CMYK, alpha, the range of floats."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from restorekit.core.image.formats.pixels import Decoded, bands
from restorekit.core.image.formats.profiles import cmyk_converter, cmyk_to_rgb
from restorekit.core.image.formats.tiff_layout import PALETTE, SEPARATED, WHITE_IS_ZERO, TiffLayout
from restorekit.core.image.metadata import FileRecord
from restorekit.errors import UnsupportedImage

__all__ = ["palette_colours", "tiff_picture"]

_WHITE_FLOAT = 2.0  # a float picture beyond twice white is on another scale more often than it is that bright


def tiff_picture(
    stored: npt.NDArray[Any],
    layout: TiffLayout,
    record: FileRecord,
    *,
    orientation: int | None,
    colormap: npt.NDArray[Any] | None,
) -> Decoded:
    """(height, width, channels) as stored to RGB or gray samples; ``colormap`` is (3, entries), 16 bits a value."""
    notes: tuple[str, ...] = ()
    if layout.photometric == PALETTE:
        if colormap is None:
            raise ValueError("a palette picture without a palette")
        stored = palette_colours(colormap)[stored[..., 0]]
    elif layout.photometric == SEPARATED:
        convert, icc, note = cmyk_converter(record.icc)
        stored, record, notes = cmyk_to_rgb(stored, convert), replace(record, icc=icc), (note,)
    elif layout.bits < 8:
        stored *= 255 // (2**layout.bits - 1)
    colours = 1 if stored.shape[2] < 3 else 3
    alpha = None
    if colours < stored.shape[2]:
        alpha = np.ascontiguousarray(stored[..., colours])
        stored = np.ascontiguousarray(stored[..., :colours])
    if layout.photometric == WHITE_IS_ZERO:
        stored = (1 if layout.kind == "f" else np.iinfo(stored.dtype).max) - stored
    if layout.kind == "f":
        stored, notes = _as_float32(stored, layout.name)
        alpha = None if alpha is None else alpha.astype(np.float32)
    return Decoded(stored, record, alpha=alpha, orientation=orientation, warnings=notes)


def palette_colours(colormap: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(entries, 3) colours: 8 bits if the 16-bit palette holds no more than that, however it was widened."""
    colours = np.ascontiguousarray(colormap.T.astype(np.uint16))
    if (colours % 257 == 0).all():
        return (colours // 257).astype(np.uint8)
    if (colours % 256 == 0).all():
        return (colours // 256).astype(np.uint8)
    if int(colours.max()) <= 255:
        return colours.astype(np.uint8)
    return colours


def _as_float32(samples: npt.NDArray[Any], name: str) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Single precision, with warnings for what that loses and for values far beyond white."""
    notes = []
    low, high = np.inf, -np.inf
    for top, bottom in bands(samples.shape[0]):
        low = min(low, float(samples[top:bottom].min()))
        high = max(high, float(samples[top:bottom].max()))
        if not np.isfinite([low, high]).all() or np.isnan(samples[top:bottom]).any():
            raise UnsupportedImage(f"{name}: expected finite values, got NaN or infinity; replace them first")
    if samples.dtype.itemsize == 8:
        notes.append("64-bit floats were rounded to 32-bit floats")
    if high > _WHITE_FLOAT:
        notes.append(f"float values reach {high:g}, but 1.0 is taken as white: divide by the white level first")
    return np.ascontiguousarray(samples, dtype=np.float32), tuple(notes)
