"""How the pixels of a TIFF page lie in its file, and a clear refusal for layouts that are not read."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from restorekit.core.image.formats.kinds import raw_image_error
from restorekit.core.image.formats.tiff_codecs import COMPRESSIONS, FAX, JPEG, PREDICTED_CODECS
from restorekit.errors import UnreadableImage, UnsupportedImage

__all__ = ["BLACK_IS_ZERO", "PALETTE", "SEPARATED", "WHITE_IS_ZERO", "TiffLayout", "tiff_layout"]

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
"""Values of the photometric tag."""

_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, SEPARATED: 4, YCBCR: 3}
_OTHER_PHOTOMETRIC = {4: "transparency mask", 6: "YCbCr", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*"}
_RAW_PHOTOMETRIC = (32803, 34892)
_DNG_VERSION = 50706
_UNSIGNED, _FLOAT = 1, 3
_NUMBERS = {
    _UNSIGNED: "unsigned integers",
    2: "signed integers",
    _FLOAT: "floats",
    4: "untyped samples",
    5: "complex integers",
    6: "complex floats",
}


@dataclass(frozen=True)
class TiffLayout:
    """How the pixels of a page lie in the file."""

    width: int
    height: int
    channels: int
    bits: int
    kind: Literal["u", "f"]
    photometric: int
    compression: int
    predictor: int
    is_planar: bool
    order: Literal["<", ">"]
    name: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored sample, in native byte order; samples below 8 bits take a byte."""
        return np.dtype(f"{self.kind}{max(self.bits, 8) // 8}")


def tiff_layout(tiff: Any, page: Any, name: str) -> TiffLayout:
    """How the pixels of a tifffile page are stored; raises UnsupportedImage for what is not read."""
    if not all(isinstance(number, int) for number in (page.imagewidth, page.imagelength, page.samplesperpixel)):
        raise UnreadableImage(f"{name}: expected a TIFF with a size, got a damaged header; copy or download it again")
    _check_colours(page, name)
    _check_depth(page, name)
    compression, fill_order = int(page.compression), int(page.fillorder)
    if compression not in COMPRESSIONS:
        expected = ", ".join(dict.fromkeys(COMPRESSIONS.values()))
        found = getattr(page.compression, "name", compression)
        raise UnsupportedImage(
            f"{name}: expected TIFF compression among {expected}, got {found}; save it again with LZW or deflate"
        )
    if page.imagedepth != 1 or (fill_order == 2 and compression not in FAX) or int(page.predictor) not in (1, 2, 3):
        raise UnsupportedImage(
            f"{name}: expected a plain TIFF, got one with depth, reversed bits or an unknown predictor; save it again"
        )
    return TiffLayout(
        width=page.imagewidth,
        height=page.imagelength,
        channels=page.samplesperpixel,
        bits=page.bitspersample,
        kind="f" if page.sampleformat == _FLOAT else "u",
        photometric=int(page.photometric),
        compression=compression,
        predictor=int(page.predictor) if compression in PREDICTED_CODECS else 1,
        is_planar=int(page.planarconfig) == 2 and page.samplesperpixel > 1,
        order=tiff.byteorder,
        name=name,
    )


def _check_colours(page: Any, name: str) -> None:
    """Refuse colour spaces and numbers of channels that are not read."""
    photometric = int(page.photometric)
    if photometric in _RAW_PHOTOMETRIC or _DNG_VERSION in page.tags:
        raise raw_image_error(name)
    if photometric not in _COLOURS or (photometric == YCBCR and int(page.compression) != JPEG):
        kind = _OTHER_PHOTOMETRIC.get(photometric, f"photometric {photometric}")
        raise UnsupportedImage(f"{name}: expected a gray, RGB, palette or CMYK TIFF, got {kind}; convert it to RGB")
    extra = page.samplesperpixel - _COLOURS[photometric]
    if extra < 0 or extra > (0 if photometric in (PALETTE, SEPARATED, YCBCR) else 1):
        raise UnsupportedImage(
            f"{name}: expected {_COLOURS[photometric]} channels and at most one alpha, got {page.samplesperpixel}; "
            "remove the extra channels first"
        )


def _check_depth(page: Any, name: str) -> None:
    """Refuse numbers that samples of 8 or 16 bits or single floats cannot hold."""
    bits, sample_format, photometric = page.bitspersample, page.sampleformat, int(page.photometric)
    if not isinstance(bits, int) or not isinstance(sample_format, int):
        raise UnsupportedImage(f"{name}: expected channels of equal depth, got {bits} bits; save it again as 16-bit")
    shallow = page.samplesperpixel == 1 and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE)
    allowed = {_UNSIGNED: (8, 16, *((1, 2, 4) if shallow else ())), _FLOAT: (16, 32, 64)}
    if photometric in (SEPARATED, PALETTE):
        allowed = {_UNSIGNED: (8,) if photometric == SEPARATED else (1, 2, 4, 8, 16)}
    if bits not in allowed.get(sample_format, ()):
        numbers = _NUMBERS.get(sample_format, "samples")
        raise UnsupportedImage(
            f"{name}: expected samples of 8 or 16 bits or floats (CMYK: 8 bits), got {bits}-bit {numbers}; "
            "convert it to 16 bits or to 32-bit floats"
        )
