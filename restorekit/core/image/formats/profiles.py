"""CMYK to sRGB through the file's own ICC profile; sRGB's profile for files whose samples became sRGB."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from restorekit.core.image.formats.pixels import band_copy

__all__ = ["cmyk_converter", "cmyk_to_rgb", "srgb_profile"]

_DATE = slice(24, 36)  # creation date and time in an ICC header (ICC.1:2010, 7.2.8)


def cmyk_converter(icc: bytes | None) -> tuple[Callable[[Image.Image], Image.Image], bytes | None, str]:
    """How to turn a CMYK picture into RGB.

    Relative colorimetric with black point compensation, as image editors do by default.

    Returns:
        (a function from a CMYK to an RGB Pillow image, the ICC profile of its result, a warning for the user).
    """
    if icc is not None and icc[16:20] == b"CMYK":
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            transform = ImageCms.buildTransform(
                source,
                ImageCms.createProfile("sRGB"),
                "CMYK",
                "RGB",
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError):
            pass
        else:
            warning = "CMYK was converted to sRGB through the embedded ICC profile; the output is RGB"
            return lambda image: _applied(transform, image), srgb_profile(), warning
    warning = "CMYK without a usable ICC profile was converted to RGB by the plain formula; colours are approximate"
    return lambda image: image.convert("RGB"), None, warning


def cmyk_to_rgb(inks: npt.NDArray[np.uint8], convert: Callable[[Image.Image], Image.Image]) -> npt.NDArray[np.uint8]:
    """(height, width, 4) inks, 255 for full ink, to (height, width, 3) RGB."""
    height, width, _ = inks.shape
    return band_copy(Image.frombuffer("CMYK", (width, height), inks, "raw", "CMYK", 0, 1), 3, convert=convert)


def srgb_profile() -> bytes:
    """An sRGB ICC profile, the same bytes every time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def _applied(transform: Any, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:  # only for in-place transforms
        raise ValueError("no result from the colour transform")
    return converted
