"""Image files in and out, faithfully: PNG, JPEG, TIFF, WebP; 8 and 16 bits and floats; gray, alpha, palette, CMYK.

- What a file holds besides the picture travels in a ``FileRecord`` and is written back where the format can hold it;
  where it cannot, a warning says so. Values are processed as they are encoded; the ICC profile goes with them.
- No depth is ever reduced and no alpha dropped without being asked: that is an error that names the ways out.
- A file is written beside its place and moved there when complete, so a crash leaves the old file or the new one.
"""

import io
import os
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import tifffile

from restorekit.core.atomic import write_bytes
from restorekit.core.image.convention import SAMPLE_PEAK, Samples
from restorekit.core.image.formats.jpeg import decode_jpeg, encode_jpeg
from restorekit.core.image.formats.kinds import HEAD_BYTES, IMAGE_SUFFIXES, sniff, target_format
from restorekit.core.image.formats.pixels import Decoded, straight_alpha, upright
from restorekit.core.image.formats.png import decode_png, encode_png
from restorekit.core.image.formats.stream import Stream
from restorekit.core.image.formats.tiff_reading import decode_tiff
from restorekit.core.image.formats.tiff_writing import encode_tiff
from restorekit.core.image.formats.webp import decode_webp, encode_webp
from restorekit.core.image.metadata import FileRecord, ImageFormat, fit_record, upright_record
from restorekit.core.image.samples import is_sample, sample_crop, sample_path
from restorekit.errors import ImageError, MemoryLimitError, UnreadableImage, UnsupportedImage, UsageError

__all__ = [
    "DAMAGE",
    "DEFAULT_MAX_MEGAPIXELS",
    "IMAGE_SUFFIXES",
    "SourceImage",
    "decode_image",
    "encode_image",
    "read_image",
    "write_image",
]

DEFAULT_MAX_MEGAPIXELS = 300.0
"""Pixel limit of one image, in millions: a guard against files that would fill the memory."""

_DECODERS = {"PNG": decode_png, "JPEG": decode_jpeg, "TIFF": decode_tiff, "WEBP": decode_webp}

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
    cv2.error,
    tifffile.TiffFileError,
)
"""What decoders raise on damaged files. Anything else is our own mistake and shows as such."""


@dataclass(frozen=True)
class SourceImage:
    """A picture as read from a file."""

    samples: Samples
    """(height, width, 1 or 3), uint8, uint16 or float32, RGB order, upright, contiguous."""
    alpha: Samples | None
    """(height, width), of the samples' type, or None."""
    record: FileRecord
    """What else the file says; pass it to ``write_image``."""
    warnings: tuple[str, ...] = ()
    """One line for each thing that was converted or cannot be carried over, without the file's name."""

    @property
    def height(self) -> int:
        """Rows, in px."""
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        """Columns, in px."""
        return int(self.samples.shape[1])

    @property
    def dtype(self) -> "np.dtype[np.uint8] | np.dtype[np.uint16] | np.dtype[np.float32]":
        """Type of a sample: the depth of the file."""
        return self.samples.dtype

    def save(self, path: str | Path, *, quality: int | None = None) -> tuple[str, ...]:
        """Write the picture with its alpha and record; see ``write_image``, whose warnings are returned."""
        return write_image(path, self.samples, alpha=self.alpha, record=self.record, quality=quality)


def read_image(path: str | Path, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> SourceImage:
    """Read an image file, or a bundled sample such as ``sample:coffee`` or ``sample:coffee@256``.

    Args:
        path: Any path, Unicode included. The content tells the format; the suffix does not matter.
        max_megapixels: Pixel limit, in millions; checked before anything is decoded.

    Raises:
        UnreadableImage: Absent, empty, truncated, corrupt, or no image.
        UnsupportedImage: An image of a kind that is not read; the message names what to do.
        OversizedImage: More pixels than ``max_megapixels``.
        UsageError: No bundled sample of that name.
    """
    text = str(path)
    if is_sample(text):
        image = read_image(sample_path(text), max_megapixels=max_megapixels)
        rows, columns = sample_crop(text)
        return replace(
            image,
            samples=upright(image.samples[rows, columns], 1),
            record=replace(image.record, name=text),
        )
    try:
        with Path(path).open("rb") as stream:
            return _decode(stream, text, max_megapixels)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreadableImage(f"{text}: expected an image file, got an error: {reason}; check the path") from error


def decode_image(data: bytes, name: str, *, max_megapixels: float = DEFAULT_MAX_MEGAPIXELS) -> SourceImage:
    """Read an image from memory (standard input, say); ``name`` stands for it in messages. Raises as ``read_image``."""
    return _decode(io.BytesIO(data), name, max_megapixels)


def write_image(
    path: str | Path,
    samples: Samples,
    *,
    alpha: Samples | None = None,
    record: FileRecord | None = None,
    quality: int | None = None,
) -> tuple[str, ...]:
    """Write samples to ``path``, whose suffix chooses the format; the folder is made if it is absent.

    The file appears complete or not at all: on any failure, an interrupt included, what stood there before stays.

    Args:
        path: Ends in one of ``IMAGE_SUFFIXES``.
        samples, alpha, record, quality: As for ``encode_image``.

    Returns:
        Warnings: what the format could not hold.

    Raises:
        UnsupportedImage: The format cannot hold this depth or alpha, or the suffix is not one we write.
        ImageError: The samples are malformed, or the file cannot be written.
    """
    data, warnings = encode_image(
        samples, Path(path).suffix, alpha=alpha, record=replace(record or FileRecord(), name=str(path)), quality=quality
    )
    target = Path(os.path.realpath(path))  # a link keeps pointing to the file that is replaced
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, data)
    except OSError as error:
        raise ImageError(f"{path}: could not be written: {(error.strerror or str(error)).lower()}") from error
    return warnings


def encode_image(
    samples: Samples,
    suffix: str,
    *,
    alpha: Samples | None = None,
    record: FileRecord | None = None,
    quality: int | None = None,
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of an image file, and warnings: what the format could not hold.

    Args:
        samples: (height, width, 1 or 3), uint8, uint16 or float32.
        suffix: One of ``IMAGE_SUFFIXES``, for example ``.png``.
        alpha: (height, width), of the samples' type.
        record: The source's; None writes no metadata.
        quality: 1 to 100 for JPEG and WebP, others ignore it. None: JPEG 95; WebP lossless unless the source was lossy.

    Raises:
        UnsupportedImage: The format cannot hold this depth, size or alpha, or the suffix is not one we write.
        ImageError: The samples are malformed.
        UsageError: ``quality`` is outside 1 to 100.
    """
    record = record or FileRecord()
    name = record.name or "output"
    target = target_format(suffix, name)
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality: expected 1 to 100, got {quality}; 95 is the default")
    _check_samples(samples, alpha, name)
    _check_depth(samples, alpha, target, name)
    record, warnings = fit_record(record, target, channels=samples.shape[2])
    if alpha is not None and record.alpha_kind == "assocalpha" and target != "TIFF":
        samples = straight_alpha(samples, alpha)
        warnings += (f"{target} holds straight alpha only: the colours were divided by alpha",)
    if target == "TIFF":
        data, more = encode_tiff(samples, alpha, record)
        return data, warnings + more
    if target == "PNG":
        return encode_png(samples, alpha, record), warnings
    if target == "WEBP":
        return encode_webp(samples, alpha, record, quality=quality), warnings
    return encode_jpeg(samples, record, quality=quality), warnings


def _decode(stream: Stream, name: str, max_megapixels: float) -> SourceImage:
    head = stream.read(HEAD_BYTES)
    kind = sniff(head, name)
    stream.seek(0)
    try:
        decoded: Decoded = _DECODERS[kind](stream, name, max_megapixels=max_megapixels)
    except DAMAGE as error:
        raise UnreadableImage(
            f"{name}: expected a whole {kind} file, got a corrupt or truncated one ({_one_line(error)}); "
            "copy or download it again"
        ) from error
    except MemoryError as error:
        raise MemoryLimitError(
            f"{name}: expected an image that fits in memory, got a larger one; lower --max-megapixels to skip it"
        ) from error
    record, notes = upright_record(decoded.record, decoded.orientation)
    turn = decoded.orientation or 1
    alpha = None if decoded.alpha is None else upright(decoded.alpha, turn)
    return SourceImage(upright(decoded.samples, turn), alpha, record, decoded.warnings + notes)


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0][:120] if lines else type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in text)


def _check_samples(samples: Samples, alpha: Samples | None, name: str) -> None:
    if samples.ndim != 3 or samples.shape[2] not in (1, 3) or 0 in samples.shape:
        raise ImageError(f"{name}: expected samples of shape (height, width, 1 or 3), got {samples.shape}")
    if samples.dtype.name not in SAMPLE_PEAK:
        raise ImageError(f"{name}: expected samples of type {', '.join(SAMPLE_PEAK)}, got {samples.dtype.name}")
    if alpha is not None and (alpha.shape != samples.shape[:2] or alpha.dtype != samples.dtype):
        raise ImageError(
            f"{name}: expected alpha of shape {samples.shape[:2]} and type {samples.dtype.name}, "
            f"got {alpha.shape} and {alpha.dtype.name}"
        )


def _check_depth(samples: Samples, alpha: Samples | None, target: ImageFormat, name: str) -> None:
    """Refuse what the format would lose."""
    depth = samples.dtype.name
    if depth == "float32" and target == "PNG":
        raise UnsupportedImage(
            f"{name}: expected 8 or 16 bits for PNG, got float32; choose .tif, or convert explicitly with --depth 16"
        )
    if depth != "uint8" and target in ("JPEG", "WEBP"):
        choices = ".tif" if depth == "float32" else ".png or .tif"
        raise UnsupportedImage(
            f"{name}: expected 8 bits for {target}, got {depth}; choose {choices}, or convert explicitly with --depth 8"
        )
    if alpha is not None and target == "JPEG":
        raise UnsupportedImage(
            f"{name}: expected no alpha for JPEG, got an alpha channel; choose .png, .tif or .webp, "
            "or drop alpha explicitly with --drop-alpha"
        )
