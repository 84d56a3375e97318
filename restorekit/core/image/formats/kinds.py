"""What kind of file this is, told from its first bytes; for kinds that restorekit does not read, what to do instead."""

from dataclasses import dataclass
from pathlib import PurePath

from restorekit.core.image.metadata import ImageFormat
from restorekit.errors import ImageError, UnreadableImage, UnsupportedImage

__all__ = ["HEAD_BYTES", "IMAGE_SUFFIXES", "UNSUPPORTED_SUFFIXES", "sniff", "target_format"]

_FORMATS: dict[str, ImageFormat] = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}

IMAGE_SUFFIXES: tuple[str, ...] = tuple(_FORMATS)
"""Suffixes, in lower case, of the files that restorekit reads and writes."""

HEAD_BYTES = 64
"""How many of a file's first bytes ``sniff`` looks at."""


@dataclass(frozen=True)
class _Foreign:
    """A kind of file that is an image (or contains one) and is not read."""

    name: str
    suffixes: tuple[str, ...]
    advice: str


_CONVERT = "convert it to PNG first, for example with ImageMagick: magick INPUT output.png"
_DEVELOP = (
    "develop it to a 16-bit TIFF first, for example with darktable-cli INPUT output.tif or your camera's software"
)
_HEIF = (
    "convert it to PNG or JPEG first, for example with libheif: heif-convert INPUT output.png "
    "(on a phone: share it as JPEG)"
)
_PAGES = "export the picture or the frames you want as PNG first"

_RAW = _Foreign(
    "a camera RAW file",
    (
        *(".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".raf"),
        *(".orf", ".rw2", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".kdc", ".dcr", ".raw"),
    ),
    _DEVELOP,
)
_HEIC = _Foreign("a HEIC/HEIF image", (".heic", ".heif", ".hif"), _HEIF)
_AVIF = _Foreign(
    "an AVIF image", (".avif", ".avifs"), "convert it to PNG first, for example with: avifdec INPUT out.png"
)
_GIF = _Foreign("a GIF image", (".gif",), _CONVERT)
_BMP = _Foreign("a BMP image", (".bmp", ".dib"), _CONVERT)
_PSD = _Foreign("a Photoshop document", (".psd", ".psb"), "export it as PNG or TIFF first")
_JP2 = _Foreign("a JPEG 2000 image", (".jp2", ".j2k", ".jpf", ".jpx"), _CONVERT)
_JXL = _Foreign("a JPEG XL image", (".jxl",), "convert it to PNG first, for example with: djxl INPUT output.png")
_EXR = _Foreign("an OpenEXR image", (".exr",), "convert it to a float TIFF first")
_HDR = _Foreign("a Radiance HDR image", (".hdr", ".pic"), "convert it to a float TIFF first")
_PDF = _Foreign("a PDF document", (".pdf",), _PAGES)
_SVG = _Foreign("an SVG drawing", (".svg", ".svgz"), _PAGES)
_PNM = _Foreign("a PNM image", (".ppm", ".pgm", ".pbm", ".pnm", ".pam"), _CONVERT)
_ICO = _Foreign("an icon", (".ico",), _CONVERT)
_TGA = _Foreign("a TGA image", (".tga",), _CONVERT)
_VIDEO = _Foreign("a video", (), "extract its frames first, for example with: ffmpeg -i INPUT frame_%05d.png")
_HTML = _Foreign("a web page", (), "the download probably failed: fetch the image itself")
_TEXT_POINTER = _Foreign("a Git LFS pointer", (), "fetch the file itself: git lfs pull")

_FOREIGN = (_RAW, _HEIC, _AVIF, _GIF, _BMP, _PSD, _JP2, _JXL, _EXR, _HDR, _PDF, _SVG, _PNM, _ICO, _TGA)

UNSUPPORTED_SUFFIXES: tuple[str, ...] = tuple(suffix for kind in _FOREIGN for suffix in kind.suffixes)
"""Suffixes of images that restorekit does not read but names, with what to do."""

_SIGNATURES: tuple[tuple[bytes, _Foreign], ...] = (
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"BM", _BMP),
    (b"8BPS", _PSD),
    (b"\0\0\0\x0cjP  ", _JP2),
    (b"\xff\x4f\xff\x51", _JP2),
    (b"\0\0\0\x0cJXL ", _JXL),
    (b"\xff\x0a", _JXL),
    (b"\x76\x2f\x31\x01", _EXR),
    (b"#?RADIANCE", _HDR),
    (b"%PDF", _PDF),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"MMOR", _RAW),
    (b"IIU\0", _RAW),
    (b"FOVb", _RAW),
    (b"\0MRM", _RAW),
    (b"\0\0\1\0", _ICO),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"version https://git-lfs", _TEXT_POINTER),
    *((b"P%d" % number, _PNM) for number in range(1, 8)),
)
_BRANDS: dict[bytes, _Foreign] = {
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    b"crx ": _RAW,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), _HEIC),
    **dict.fromkeys((b"mif1", b"msf1"), _HEIC),  # any codec in a HEIF container: counts only if no other brand tells
}


def sniff(head: bytes, name: str) -> ImageFormat:
    """The format of a file whose first ``HEAD_BYTES`` bytes are ``head``; the suffix of ``name`` only settles RAW.

    Raises:
        UnreadableImage: Empty, or nothing that is known.
        UnsupportedImage: A known kind that restorekit does not read; the message names what to do.
    """
    if not head:
        raise UnreadableImage(f"{name}: expected an image, got an empty file; copy or export it again")
    if not head.strip(b"\0"):
        raise UnreadableImage(f"{name}: expected an image, got a file of zeros; copy it again from its source")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        if head[8:10] == b"CR" or PurePath(name).suffix.lower() in _RAW.suffixes:
            raise _unsupported(name, _RAW)
        return "TIFF"
    foreign = _foreign_kind(head)
    if foreign is not None:
        raise _unsupported(name, foreign)
    start = head[:4].hex(" ")
    raise UnreadableImage(
        f"{name}: expected a PNG, JPEG, TIFF or WebP image, got another kind of file (it begins with {start}); "
        "check that it is an image"
    )


def target_format(suffix: str, name: str) -> ImageFormat:
    """The format to write for an output suffix such as ``.png``; raises UnsupportedImage for any other."""
    try:
        return _FORMATS[suffix.lower()]
    except KeyError:
        expected = ", ".join(_FORMATS)
        raise UnsupportedImage(
            f"{name}: expected an output suffix among {expected}, got {suffix or 'none'!r}; choose one of them"
        ) from None


def raw_image_error(name: str) -> UnsupportedImage:
    """The error for a RAW file that only its tags give away (a DNG named .tif)."""
    return _unsupported(name, _RAW)


def _foreign_kind(head: bytes) -> _Foreign | None:
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, len(head), 4))}
        return next((kind for brand, kind in _BRANDS.items() if brand in brands), _VIDEO)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _VIDEO
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return _HTML
    if text.startswith((b"<svg", b"<?xml")):
        return _SVG
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)


def _unsupported(name: str, kind: _Foreign) -> UnsupportedImage:
    return UnsupportedImage(f"{name}: expected PNG, JPEG, TIFF or WebP, got {kind.name}; {kind.advice}")


def truncated(name: str, label: str) -> ImageError:
    """The error for a file that ends too early."""
    return UnreadableImage(f"{name}: expected a whole {label} file, got a truncated one; copy or download it again")
